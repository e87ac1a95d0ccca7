/** What kind of file some bytes begin, in the words of file(1), for the common kinds. Reads the first bytes only. */
import { be16, be32, le16, le32 } from '../util/index.js';
import { ascii, isSpace, lower } from './bytes.js';

interface Signature {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly text: string | ((buf: Uint8Array, len: number) => string);
}

function sign(magic: string, text: Signature['text'], at = 0): Signature {
  return { at, bytes: ascii(magic), text };
}

const ELF_MACHINES: Readonly<Record<number, string>> = { 2: 'SPARC', 3: 'Intel 80386', 8: 'MIPS', 20: 'PowerPC or cisco 4500', 21: '64-bit PowerPC or cisco 7500', 22: 'IBM S/390', 40: 'ARM', 62: 'x86-64', 183: 'ARM aarch64', 243: 'UCB RISC-V' };
const ELF_KINDS = ['no file type', 'relocatable', 'executable', 'shared object', 'core file'];
const PE_MACHINES: Readonly<Record<number, string>> = { 0x14c: 'Intel 80386', 0x8664: 'x86-64', 0x1c0: 'ARM', 0x1c4: 'ARMv7 Thumb', 0xaa64: 'Aarch64', 0x200: 'Intel Itanium' };
const PE_SUBSYSTEMS: Readonly<Record<number, string>> = { 1: 'native', 2: 'GUI', 3: 'console', 7: 'POSIX', 9: 'Windows CE', 10: 'EFI application', 11: 'EFI boot service driver', 12: 'EFI runtime driver' };
const DLL = 0x2000;

function elf(buf: Uint8Array, len: number): string {
  if (len < 20) return 'ELF';
  const little = buf[5] === 1;
  const word = (at: number): number => (little ? le16(buf, at) : be16(buf, at));
  return `ELF ${buf[4] === 2 ? '64' : '32'}-bit ${little ? 'LSB' : 'MSB'} ${ELF_KINDS[word(16)] ?? 'processor-specific'}, ${ELF_MACHINES[word(18)] ?? 'unknown arch'}, version 1 (SYSV)`;
}

function executable(buf: Uint8Array, len: number): string {
  const pe = len >= 64 ? le32(buf, 60) : 0;
  if (pe < 4 || pe + 96 > len || buf[pe] !== 0x50 || buf[pe + 1] !== 0x45 || buf[pe + 2] !== 0) return 'MS-DOS executable';
  const wide = le16(buf, pe + 24) === 0x20b ? '+' : '';
  const kind = (le16(buf, pe + 22) & DLL) !== 0 ? ' (DLL)' : '';
  const subsystem = PE_SUBSYSTEMS[le16(buf, pe + 92)];
  return `PE32${wide} executable${kind}${subsystem === undefined ? '' : ` (${subsystem})`} ${PE_MACHINES[le16(buf, pe + 4)] ?? 'unknown processor'}, for MS Windows`;
}

function zip(buf: Uint8Array, len: number): string {
  if (len < 30) return 'Zip archive data';
  const nameLen = le16(buf, 26);
  const name = Buffer.from(buf.subarray(30, Math.min(len, 30 + nameLen))).toString('latin1');
  if (name === '[Content_Types].xml' || name.startsWith('_rels/')) {
    const head = Buffer.from(buf.subarray(0, Math.min(len, 8192))).toString('latin1');
    if (head.includes('word/')) return 'Microsoft Word 2007+';
    if (head.includes('xl/')) return 'Microsoft Excel 2007+';
    return head.includes('ppt/') ? 'Microsoft PowerPoint 2007+' : 'Microsoft OOXML';
  }
  if (name.startsWith('META-INF/')) return 'Java archive data (JAR)';
  const version = le16(buf, 4) & 255;
  return `Zip archive data, at least v${Math.floor(version / 10)}.${version % 10} to extract`;
}

function pdf(buf: Uint8Array, len: number): string {
  return len >= 8 ? `PDF document, version ${String.fromCharCode(buf[5]!, buf[6]!, buf[7]!)}` : 'PDF document';
}

const SIGNATURES: readonly Signature[] = [
  sign('\x7fELF', elf),
  sign('MZ', executable),
  sign('%PDF-', pdf),
  sign('PK\x03\x04', zip),
  sign('PK\x05\x06', 'Zip archive data (empty)'),
  sign('\x1f\x8b', 'gzip compressed data'),
  sign('BZh', 'bzip2 compressed data'),
  sign('\xfd7zXZ\0', 'XZ compressed data'),
  sign('7z\xbc\xaf\x27\x1c', (buf, len) => (len >= 8 ? `7-zip archive data, version ${buf[6]}.${buf[7]}` : '7-zip archive data')),
  sign('Rar!\x1a\x07', (buf) => (buf[6] === 1 ? 'RAR archive data, v5' : 'RAR archive data, v4')),
  sign('MSCF\0\0\0\0', 'Microsoft Cabinet archive data'),
  sign('ustar', 'POSIX tar archive', 257),
  sign('\x28\xb5\x2f\xfd', 'Zstandard compressed data'),
  sign('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'Composite Document File V2 Document'),
  sign('{\\rtf', 'Rich Text Format data'),
  sign('\x89PNG\r\n\x1a\n', (buf, len) => (len >= 24 ? `PNG image data, ${be32(buf, 16) >>> 0} x ${be32(buf, 20) >>> 0}` : 'PNG image data')),
  sign('\xff\xd8\xff', (buf, len) => (len >= 11 && buf[6] === 0x4a && buf[7] === 0x46 ? 'JPEG image data, JFIF standard 1.01' : 'JPEG image data')),
  sign('GIF8', (buf, len) => (len >= 10 ? `GIF image data, version ${buf[4] === 0x39 ? '89a' : '87a'}, ${le16(buf, 6)} x ${le16(buf, 8)}` : 'GIF image data')),
  sign('BM', (buf, len) => (len >= 26 && le32(buf, 6) === 0 ? 'PC bitmap' : 'data')),
  sign('II*\0', 'TIFF image data, little-endian'),
  sign('MM\0*', 'TIFF image data, big-endian'),
  sign('RIFF', (buf, len) => riff(buf, len)),
  sign('ID3', 'Audio file with ID3'),
  sign('OggS', 'Ogg data'),
  sign('fLaC', 'FLAC audio bitstream data'),
  sign('ftyp', 'ISO Media', 4),
  sign('\xca\xfe\xba\xbe', (buf, len) => (len >= 8 && be16(buf, 6) >= 45 ? `compiled Java class data, version ${be16(buf, 6)}.${be16(buf, 4)}` : 'Mach-O universal binary')),
  sign('FWS', (buf) => `Macromedia Flash data, version ${buf[3] ?? 0}`),
  sign('CWS', (buf) => `Macromedia Flash data (compressed), version ${buf[3] ?? 0}`),
  sign('ZWS', (buf) => `Macromedia Flash data (lzma compressed), version ${buf[3] ?? 0}`),
  sign('SQLite format 3\0', 'SQLite 3.x database'),
  sign('L\0\0\0\x01\x14\x02\0', 'MS Windows shortcut'),
  sign('ITSF\x03\0\0\0', 'MS Windows HtmlHelp Data'),
  sign('%!PS', 'PostScript document text'),
  sign('\xce\xfa\xed\xfe', 'Mach-O i386 executable'),
  sign('\xcf\xfa\xed\xfe', 'Mach-O 64-bit x86_64 executable'),
  sign('!<arch>\n', 'current ar archive'),
  sign('\xed\xab\xee\xdb', 'RPM v3.0'),
  sign('<?php', 'PHP script, ASCII text'),
];

function riff(buf: Uint8Array, len: number): string {
  if (len < 12) return 'RIFF (little-endian) data';
  const form = String.fromCharCode(buf[8]!, buf[9]!, buf[10]!, buf[11]!);
  return form === 'WAVE' ? 'RIFF (little-endian) data, WAVE audio' : form === 'AVI ' ? 'RIFF (little-endian) data, AVI' : form === 'WEBP' ? 'RIFF (little-endian) data, Web/P image' : 'RIFF (little-endian) data';
}

/** Bytes that are looked at to tell text from data. */
const TEXT_WINDOW = 4096;
const HTML = ['<!doctype html', '<html', '<head', '<title', '<body', '<script'].map(ascii);
const XML = ascii('<?xml');

function startsNoCaseAt(buf: Uint8Array, off: number, len: number, word: Uint8Array): boolean {
  if (off + word.length > len) return false;
  for (let i = 0; i < word.length; i++) if (lower(buf[off + i]!) !== word[i]) return false;
  return true;
}

function text(buf: Uint8Array, len: number): string {
  const end = Math.min(len, TEXT_WINDOW);
  let high = false;
  let crlf = false;
  let lf = false;
  for (let i = 0; i < end; i++) {
    const c = buf[i]!;
    if (c < 32 && !isSpace(c) && c !== 7 && c !== 8 && c !== 27) return 'data';
    if (c === 127) return 'data';
    if (c >= 128) high = true;
    if (c === 10) {
      if (i > 0 && buf[i - 1] === 13) crlf = true;
      else lf = true;
    }
  }
  const kind = high ? (Buffer.from(buf.subarray(0, end)).toString('utf8').slice(0, -1).includes('\ufffd') ? 'ISO-8859 text' : 'UTF-8 Unicode text') : 'ASCII text';
  const ends = crlf ? ', with CRLF line terminators' : lf ? '' : ', with no line terminators';
  let start = 0;
  while (start < end && isSpace(buf[start]!)) start++;
  for (const tag of HTML) if (startsNoCaseAt(buf, start, end, tag)) return `HTML document, ${kind}${ends}`;
  if (startsNoCaseAt(buf, start, end, XML)) return `XML 1.0 document, ${kind}${ends}`;
  if (buf[0] === 35 && buf[1] === 33) return `${script(buf, end)} script, ${kind} executable${ends}`;
  return kind + ends;
}

function script(buf: Uint8Array, end: number): string {
  const line = Buffer.from(buf.subarray(2, Math.min(end, 80))).toString('latin1').split('\n')[0]!;
  if (line.includes('python')) return 'Python';
  if (line.includes('perl')) return 'Perl';
  if (line.includes('bash')) return 'Bourne-Again shell';
  return line.includes('sh') ? 'POSIX shell' : `a ${line.trim()}`;
}

/** Kind of the file that buf[0, len) begins. */
export function fileMagic(buf: Uint8Array, len: number): string {
  if (len === 0) return 'empty';
  for (const { at, bytes, text: words } of SIGNATURES) {
    if (at + bytes.length > len) continue;
    let i = 0;
    while (i < bytes.length && buf[at + i] === bytes[i]) i++;
    if (i === bytes.length) return typeof words === 'string' ? words : words(buf, len);
  }
  if (len === 1) return 'very short file (no magic)';
  return text(buf, len);
}
