import { sqlInjection } from '../libinjection/index.js';
import { operator } from './operator.js';

export const detectSQLi = operator({
  name: 'detectSQLi',
  argument: 'none',
  help: 'The value is (part of) an SQL injection; captures its fingerprint.',
  compile: () => ({
    match: (value, state) => {
      const fingerprint = sqlInjection(value);
      if (fingerprint === '') return false;
      state.captureWhole(fingerprint);
      return true;
    },
    pure: true,
  }),
});
