import { operator } from './operator.js';

export const geoLookup = operator({
  name: 'geoLookup',
  argument: 'none',
  help: 'The address is in the address database.',
  compile: (_argument, context) => {
    const { geo } = context.lookups;
    if (geo === undefined) throw new Error('no address database is configured');
    return { match: (value) => geo(value) !== null, pure: false };
  },
});
