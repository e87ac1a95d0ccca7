/**
 * file-events: what happens to files inside VMs, judged once for all of them.
 * In: the drivers' connections (UNIX socket, vsock, TLS; protocol/), server/ turns frames into FileEvent with a content reader.
 * Out: a Disposition for each event (FileEventHandler: queue, verdict cache, engines), commands back to the driver, counters.
 * Folders: protocol (wire format, pure), server (connections), and the verdict path beside them.
 * May import: util, packet, pipeline, flow, protocols. Uses Node's I/O modules.
 */
export * from './protocol/limits.js';
export type * from './protocol/messages.js';
export type {
  ContentReader, Digested, Disposition, DriverSession, FileChange, FileEvent, FileEventHandler, LogChunk, OpenedFile, RestoredMeta,
} from './handler.js';
export { ProtocolError, FieldReader, FieldWriter } from './protocol/wire.js';
export { decodeMessage, encodeMessage } from './protocol/codec.js';
export { FrameSplitter } from './protocol/splitter.js';
export { describeIdentity, identityKey, type Identity } from './protocol/identity.js';
export { applianceProof, driverProof, sameProof } from './protocol/proof.js';
