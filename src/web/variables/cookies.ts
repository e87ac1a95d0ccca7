/** Cookies of the request. */
import { collection, namesOf } from './variable.js';

export const requestCookies = collection({
  name: 'REQUEST_COOKIES',
  help: 'Cookies of the request; not decoded.',
  fill: () => undefined,
  direct: (s) => s.cookies,
});
export const requestCookiesNames = namesOf('REQUEST_COOKIES_NAMES', 'Names of the cookies.', (s) => s.cookies);
