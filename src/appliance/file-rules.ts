/** Where the YARA and log rules are that come with the appliance. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** dist/src/appliance -> the package. */
const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url));
export const SHIPPED_FILE_RULES = join(PACKAGE, 'rules/files');
export const SHIPPED_LOG_RULES = join(PACKAGE, 'rules/logs');
