/** A bounded reader of DER and definite-length BER (X.690): certificates, SNMP, Kerberos. */

/** A cursor over DER elements; `ok` turns false at the first thing that does not fit. */
export class Der {
  readonly buf: Uint8Array;
  pos: number;
  readonly end: number;
  tag = 0;
  /** Content of the element read last. */
  off = 0;
  stop = 0;

  constructor(buf: Uint8Array, pos: number, end: number) {
    this.buf = buf;
    this.pos = pos;
    this.end = end;
  }

  /** Read one element header and step over the element. @returns false at the end or when lengths do not fit */
  next(): boolean {
    const { buf } = this;
    let p = this.pos;
    if (p + 2 > this.end) return false;
    this.tag = buf[p]!;
    if ((this.tag & 31) === 31) return false; // no protocol here uses multi-byte tags
    let len = buf[p + 1]!;
    p += 2;
    if (len >= 128) {
      let n = len & 127;
      if (n === 0 || n > 3 || p + n > this.end) return false;
      len = 0;
      for (; n > 0; n--) len = (len << 8) | buf[p++]!;
    }
    if (p + len > this.end) return false;
    this.off = p;
    this.stop = p + len;
    this.pos = this.stop;
    return true;
  }

  expect(tag: number): boolean {
    return this.next() && this.tag === tag;
  }

  inside(): Der {
    return new Der(this.buf, this.off, this.stop);
  }

  /** Content of the element read last, copied. */
  bytes(): Uint8Array {
    return this.buf.slice(this.off, this.stop);
  }

  /** Value of a non-negative INTEGER or ENUMERATED of at most 32 bits read last, -1 when it is none. */
  unsigned(): number {
    if (this.stop === this.off || this.stop - this.off > 5 || this.buf[this.off]! >= 128) return -1;
    let value = 0;
    for (let i = this.off; i < this.stop; i++) value = value * 256 + this.buf[i]!;
    return value;
  }
}
