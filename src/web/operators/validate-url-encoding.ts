import { operator } from './operator.js';

const BROKEN = /%(?![0-9A-Fa-f]{2})/;

export const validateUrlEncoding = operator({
  name: 'validateUrlEncoding',
  argument: 'none',
  help: 'A percent sign of the value is not followed by two hexadecimal digits.',
  compile: () => ({ match: (value) => BROKEN.test(value), pure: true, hint: { kind: 'words', words: ['%'] } }),
});
