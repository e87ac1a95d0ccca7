/** Opening a capture file: which format it is, and whether it is compressed, is read from its first bytes. */
import { ByteWindow } from './byte-window.js';
import { FileSource, type ByteSource } from './byte-source.js';
import { CaptureError } from './capture-error.js';
import type { CaptureSource } from './capture-source.js';
import { GunzipSource, isGzip } from './gunzip.js';
import { isPcap, PcapSource } from './pcap-source.js';
import { isPcapng, PcapngSource } from './pcapng-source.js';

/**
 * Open a pcap or pcapng file, plain or gzip-compressed, for streaming.
 * @throws CaptureError when it is neither, is empty, cut off in its header or of an unsupported link type; the error of
 * open(2) or read(2) when it cannot be read at all
 */
export function openCapture(path: string): CaptureSource {
  return openCaptureFrom(new FileSource(path), path);
}

/** The same from any byte source; `name` stands in error messages. Closes the source when it throws. */
export function openCaptureFrom(source: ByteSource, name: string): CaptureSource {
  try {
    return recognise(source, name);
  } catch (error) {
    source.close();
    // Faults of the decompressor have no errno; those of the system keep theirs.
    if (error instanceof CaptureError || (error instanceof Error && 'code' in error)) throw error;
    throw new CaptureError(name, 0, error instanceof Error ? error.message : String(error));
  }
}

function recognise(source: ByteSource, name: string): CaptureSource {
  const plain = new ByteWindow(source);
  plain.ensure(4);
  if (plain.available >= 2 && isGzip(plain.buf, 0)) {
    const unpacked = new ByteWindow(unpack(plain));
    unpacked.ensure(4);
    return byMagic(unpacked, name);
  }
  return byMagic(plain, name);
}

function unpack(plain: ByteWindow): GunzipSource {
  // What the look at the magic number has read already goes first.
  const source: ByteSource = {
    read(target, at, len) {
      if (plain.available === 0 && !plain.ensure(1)) return 0;
      const count = Math.min(len, plain.available);
      target.set(plain.buf.subarray(plain.pos, plain.pos + count), at);
      plain.pos += count;
      return count;
    },
    close() {
      plain.close();
    },
  };
  return new GunzipSource(source);
}

function byMagic(window: ByteWindow, name: string): CaptureSource {
  if (window.available === 0) throw new CaptureError(name, 0, 'file is empty');
  if (window.available >= 4) {
    if (isPcap(window.data)) return new PcapSource(window, name);
    if (isPcapng(window.data)) return new PcapngSource(window, name);
  }
  throw new CaptureError(name, 0, 'not a capture file: it starts neither like pcap nor like pcapng');
}
