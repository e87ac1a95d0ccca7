/** What a request to a driver can fail with. */
import { getSystemErrorName } from 'node:util';

/** `code` is a Linux errno name as Node writes them; ECANCELED: the driver gave up or the connection ended; ETIMEDOUT: no answer. */
export class DriverError extends Error {
  override readonly name = 'DriverError';
  readonly code: string;

  constructor(code: string, what: string) {
    super(`${what}: ${code}`);
    this.code = code;
  }

  /** @param status errno as the driver sent it, not 0 */
  static fromStatus(status: number, what: string): DriverError {
    return new DriverError(status > 0 && status < 4096 ? getSystemErrorName(-status) : 'EPROTO', what);
  }
}
