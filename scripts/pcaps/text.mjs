/** Text and hex of the case files to bytes. */

/**
 * Latin-1: one character is one byte, so that "\xff" in a YAML string means that byte.
 * @param {string} text
 */
export function latin1(text) {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0xff) throw new SyntaxError(`character U+${text.charCodeAt(i).toString(16)} is not a byte: write its UTF-8 bytes as \\x..`);
  }
  return Buffer.from(text, 'latin1');
}

/**
 * Bytes of a payload: text, `{hex: "00 ff"}`, `{text, repeat}`, `{utf16: "text"}` (little endian), or a list of those.
 * @param {string|object|unknown[]} payload
 */
export function payloadBytes(payload) {
  if (typeof payload === 'string') return latin1(payload);
  if (Array.isArray(payload)) return Buffer.concat(payload.map(payloadBytes));
  if (typeof payload === 'object' && payload !== null) {
    if (typeof payload.hex === 'string') return hexBytes(payload.hex);
    if (typeof payload.utf16 === 'string') return Buffer.from(payload.utf16, 'utf16le');
    if (typeof payload.text === 'string' && Number.isInteger(payload.repeat)) return latin1(payload.text.repeat(payload.repeat));
  }
  throw new SyntaxError(`not a payload: ${JSON.stringify(payload)}`);
}

function hexBytes(text) {
  const digits = text.replace(/\s+/g, '');
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) throw new SyntaxError(`not hex: ${text}`);
  return Buffer.from(digits, 'hex');
}
