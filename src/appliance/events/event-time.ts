/** EVE timestamps: `2016-07-13T22:42:07.199672+0000`, always UTC so that replay gives the same bytes on every machine. */

let lastSec = -1;
let lastPrefix = '';

/** @param sec seconds since the epoch, @param usec microseconds within the second */
export function eveTime(sec: number, usec: number): string {
  if (sec !== lastSec) {
    lastPrefix = new Date(sec * 1000).toISOString().slice(0, 19);
    lastSec = sec;
  }
  return `${lastPrefix}.${String(usec).padStart(6, '0')}+0000`;
}
