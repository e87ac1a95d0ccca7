/**
 * Puts the native implementation where a room has a TypeScript twin: checksums in `packet`. Called once per thread, before
 * any traffic; without it everything works, slower.
 */
import { checksum } from '@drawbridge/native';
import { setChecksumSum } from '../packet/index.js';

export function installNativeParts(): void {
  setChecksumSum(checksum);
}
