/** XML bodies, addressed by a small part of XPath. */
import { checkPath, selectXml } from '../body/xml.js';
import { EntryList } from '../engine/entry-list.js';
import { collection } from './variable.js';

/** Never written to. */
const NOTHING = new EntryList();

export const xml = collection({
  name: 'XML',
  help: 'Text and attributes of an XML body, selected by a path such as XML:/* or XML://@*.',
  changesAt: [2],
  fill: () => undefined,
  expression: {
    check: checkPath,
    select(state, selector) {
      if (state.xml === null) return NOTHING;
      const known = state.xmlSelections.get(selector);
      if (known !== undefined) return known;
      const list = selectXml(state.xml, selector);
      state.xmlSelections.set(selector, list);
      return list;
    },
  },
});
