/** Where the YARA rules are that come with the appliance. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** dist/src/appliance -> rules/files of the package. */
export const SHIPPED_FILE_RULES = join(fileURLToPath(new URL('../../../', import.meta.url)), 'rules/files');
