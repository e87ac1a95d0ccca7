/** Keywords of NFS. */
import { DIR_TO_SERVER } from '../draft.js';
import { UINT32, numeric } from './tx-numbers.js';

export const nfsVersion = numeric('nfs_version', 'Version of an NFS call: 2, 3 or 4.', { max: UINT32, app: 'nfs', field: 'nfs.version', aliases: ['nfs.version'], directions: DIR_TO_SERVER, inclusive: true });
export const nfsProcedure = numeric('nfs_procedure', 'Procedure of an NFS call.', { max: UINT32, app: 'nfs', field: 'nfs.procedure', aliases: ['nfs.procedure'], directions: DIR_TO_SERVER, inclusive: true });
