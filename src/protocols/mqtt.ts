/**
 * MQTT 3.1, 3.1.1 and 5 (OASIS). A transaction is a message and its answers (CONNECT and CONNACK, SUBSCRIBE and SUBACK,
 * PUBLISH and what its quality of service asks for), judged in the direction of the first; messages without answer are
 * transactions of their own. Progress: 1 complete.
 */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { printable } from './bytes.js';
import { Directions, FRAME_MAX, FrameTransaction, bytesBuffer, frameBuffer } from './message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';
import { Transaction } from './transaction.js';

export const MqttType = {
  UNASSIGNED: 0,
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14,
  AUTH: 15,
} as const;
const NAMES = Object.keys(MqttType).map((name) => name.toLowerCase());

/** Longest message read (Suricata: max-msg-length, 1 MB); of a longer one only the header is. */
const MESSAGE_MAX = 1 << 20;
/** Transactions waiting for an answer (Suricata: max-tx). */
const OPEN_MAX = 1024;
const TOPICS_MAX = 100;
const MESSAGES_MAX = 16;
/** Stands for the packet identifier that CONNECT does not have. */
const CONNECT_ID = -2;

/** Bits of the first byte. */
export const MqttFlag = { RETAIN: 1, DUP: 8 } as const;

export class MqttMessage {
  readonly type: number;
  /** Low half of the first byte. */
  readonly flags: number;
  packetId = -1;
  truncated = false;
  /** Reason or return codes. */
  readonly reasons: number[] = [];
  readonly topics: Uint8Array[] = [];
  payload: Uint8Array | null = null;
  connect: MqttConnect | null = null;

  constructor(first: number) {
    this.type = first >> 4;
    this.flags = first & 15;
  }

  get qos(): number {
    return (this.flags >> 1) & 3;
  }
}

export class MqttConnect {
  protocol: Uint8Array = EMPTY;
  version = 0;
  flags = 0;
  keepalive = 0;
  clientId: Uint8Array = EMPTY;
  willTopic: Uint8Array | null = null;
  willMessage: Uint8Array | null = null;
  username: Uint8Array | null = null;
  password: Uint8Array | null = null;
}

const EMPTY = new Uint8Array(0);

export class MqttTransaction extends Transaction {
  readonly messages: MqttMessage[] = [];
  /** Packet identifier an answer would have, -1 = none is waited for. */
  waitsFor = -1;

  constructor(
    id: number,
    readonly dir: number,
    /** Protocol version of the connection, 0 while unknown. */
    readonly version: number,
  ) {
    super();
    this.id = id;
    // judged in the direction of its first message only
    this.dirtyToServer = dir === TO_SERVER;
    this.dirtyToClient = dir !== TO_SERVER;
    if (dir === TO_SERVER) this.doneToClient = true;
    else this.doneToServer = true;
  }

  complete(): void {
    this.progressToServer = this.progressToClient = 1;
    this.doneToServer = this.doneToClient = true;
    this.waitsFor = -1;
    this.touch();
  }

  touch(): void {
    if (this.dir === TO_SERVER) this.dirtyToServer = true;
    else this.dirtyToClient = true;
  }

  /** The field of the first CONNECT. */
  get connect(): MqttConnect | null {
    for (const message of this.messages) if (message.connect !== null) return message.connect;
    return null;
  }

  override integer(name: string): number {
    if (name === 'mqtt.protocol_version') return this.version > 0 ? this.version : -1;
    return name === 'mqtt.connect.flags' ? (this.connect?.flags ?? -1) : -1;
  }

  override integers(name: string): readonly number[] | null {
    switch (name) {
      case 'mqtt.type':
        return this.messages.map((message) => message.type);
      case 'mqtt.qos':
        return this.messages.map((message) => message.qos);
      case 'mqtt.flags':
        return this.messages.map((message) => message.flags);
      case 'mqtt.reason_code':
        return this.messages.flatMap((message) => message.reasons);
      default:
        return null;
    }
  }

  /** Topic `index` over the messages of one type. */
  topic(type: number, index: number): Uint8Array | null {
    for (const message of this.messages) {
      if (message.type !== type) continue;
      if (index < message.topics.length) return message.topics[index]!;
      index -= message.topics.length;
    }
    return null;
  }

  /** Suricata's EVE mqtt object. */
  override record(): TransactionRecord | null {
    if (this.messages.length === 0) return null;
    const body: Record<string, unknown> = {};
    for (const message of this.messages) {
      const one: Record<string, unknown> = { qos: message.qos, retain: (message.flags & MqttFlag.RETAIN) !== 0, dup: (message.flags & MqttFlag.DUP) !== 0 };
      if (message.packetId >= 0) one['message_id'] = message.packetId;
      if (message.topics.length > 0) {
        const topics = message.topics.map(text);
        if (message.type === MqttType.PUBLISH) one['topic'] = topics[0];
        else one['topics'] = topics;
      }
      if (message.reasons.length > 0) one[message.reasons.length === 1 ? 'reason_code' : 'reason_codes'] = message.reasons.length === 1 ? message.reasons[0] : message.reasons;
      const { connect } = message;
      if (connect !== null) {
        Object.assign(one, { protocol_string: text(connect.protocol), protocol_version: connect.version, client_id: text(connect.clientId) });
        if (connect.username !== null) one['username'] = text(connect.username);
      }
      body[NAMES[message.type]!] = one;
    }
    return { type: 'mqtt', body, toServer: this.dir === TO_SERVER };
  }
}

function text(bytes: Uint8Array): string {
  return printable(bytes, 0, bytes.length);
}

/** A cursor over the variable header and payload of one message; `bad` turns true at the first field that does not fit. */
class Fields {
  bad = false;

  constructor(
    readonly buf: Uint8Array,
    public pos: number,
    readonly end: number,
  ) {}

  byte(): number {
    if (this.pos >= this.end) {
      this.bad = true;
      return 0;
    }
    return this.buf[this.pos++]!;
  }

  word(): number {
    return (this.byte() << 8) | this.byte();
  }

  /** Bytes behind a length of 16 bits. */
  bytes(): Uint8Array {
    const length = this.word();
    if (this.bad || this.pos + length > this.end) {
      this.bad = true;
      return EMPTY;
    }
    this.pos += length;
    return this.buf.slice(this.pos - length, this.pos);
  }

  /** Properties of MQTT 5 (section 2.2.2), stepped over. */
  properties(): void {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const c = this.byte();
      if (this.bad || shift > 21) {
        this.bad = true;
        return;
      }
      length |= (c & 127) << shift;
      if (c < 128) break;
    }
    if (this.pos + length > this.end) this.bad = true;
    else this.pos += length;
  }
}

class MqttParser implements AppParser {
  #nextId = 0;
  #version = 0;
  #connected = false;
  readonly #skip = [0, 0];
  readonly #open: MqttTransaction[] = [];

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (pos < end) {
      if (this.#skip[dir]! > 0) {
        const n = Math.min(this.#skip[dir]!, end - pos);
        this.#skip[dir]! -= n;
        pos += n;
        continue;
      }
      let length = 0;
      let at = pos + 1;
      let shift = 0;
      for (; ; shift += 7) {
        if (at >= end) return pos - off;
        const c = buf[at++]!;
        if (shift > 21) return this.#malformed(flow, dir);
        length |= (c & 127) << shift;
        if (c < 128) break;
      }
      const message = new MqttMessage(buf[pos]!);
      if (length > MESSAGE_MAX) {
        message.truncated = true;
        this.#single(flow, dir, message);
        this.#skip[dir] = length;
        pos = at;
        continue;
      }
      if (at + length > end) return pos - off;
      if (!this.#read(message, new Fields(buf, at, at + length))) return this.#malformed(flow, dir);
      this.#handle(flow, dir, message);
      if (flow.frames) {
        const stop = Math.min(at + length, pos + FRAME_MAX);
        flow.transactions.push(new FrameTransaction(this.#nextId++, dir, { pdu: buf.slice(pos, stop), header: buf.slice(pos, pos + 2), data: buf.slice(pos + 2, stop) }));
      }
      pos = at + length;
    }
    return pos - off;
  }

  #read(message: MqttMessage, fields: Fields): boolean {
    const five = this.#version === 5;
    switch (message.type) {
      case MqttType.CONNECT:
        this.#connect(message, fields);
        break;
      case MqttType.CONNACK:
        fields.byte();
        message.reasons.push(fields.byte());
        if (five) fields.properties();
        break;
      case MqttType.PUBLISH:
        message.topics.push(fields.bytes());
        if (message.qos > 0) message.packetId = fields.word();
        if (five) fields.properties();
        if (!fields.bad) message.payload = fields.buf.slice(fields.pos, fields.end);
        break;
      case MqttType.PUBACK:
      case MqttType.PUBREC:
      case MqttType.PUBREL:
      case MqttType.PUBCOMP:
        message.packetId = fields.word();
        if (five && fields.pos < fields.end) {
          message.reasons.push(fields.byte());
          if (fields.pos < fields.end) fields.properties();
        }
        break;
      case MqttType.SUBSCRIBE:
      case MqttType.UNSUBSCRIBE:
        message.packetId = fields.word();
        if (five) fields.properties();
        while (!fields.bad && fields.pos < fields.end) {
          const topic = fields.bytes();
          if (message.type === MqttType.SUBSCRIBE) fields.byte();
          if (!fields.bad && message.topics.length < TOPICS_MAX) message.topics.push(topic);
        }
        break;
      case MqttType.SUBACK:
      case MqttType.UNSUBACK:
        message.packetId = fields.word();
        if (five) fields.properties();
        if (message.type === MqttType.SUBACK || five) while (!fields.bad && fields.pos < fields.end && message.reasons.length < TOPICS_MAX) message.reasons.push(fields.byte());
        break;
      case MqttType.DISCONNECT:
      case MqttType.AUTH:
        if (!five || fields.pos === fields.end) {
          if (five) message.reasons.push(0); // section 3.14.2.1: absent means normal
          break;
        }
        message.reasons.push(fields.byte());
        if (fields.pos < fields.end) fields.properties();
        break;
      default:
    }
    return !fields.bad;
  }

  #connect(message: MqttMessage, fields: Fields): void {
    const connect = new MqttConnect();
    message.connect = connect;
    connect.protocol = fields.bytes();
    connect.version = fields.byte();
    connect.flags = fields.byte();
    connect.keepalive = fields.word();
    const five = connect.version === 5;
    if (five) fields.properties();
    connect.clientId = fields.bytes();
    if ((connect.flags & 4) !== 0) {
      if (five) fields.properties();
      connect.willTopic = fields.bytes();
      connect.willMessage = fields.bytes();
    }
    if ((connect.flags & 0x80) !== 0) connect.username = fields.bytes();
    if ((connect.flags & 0x40) !== 0) connect.password = fields.bytes();
  }

  /** Put the message into its transaction. */
  #handle(flow: Flow, dir: number, message: MqttMessage): MqttTransaction {
    switch (message.type) {
      case MqttType.CONNECT: {
        this.#version = message.connect!.version;
        const tx = this.#start(flow, dir, message, CONNECT_ID);
        if (this.#connected) tx.addEvent('mqtt.double_connect');
        return tx;
      }
      case MqttType.PUBLISH:
      case MqttType.SUBSCRIBE:
      case MqttType.UNSUBSCRIBE: {
        const valid = message.qos === 1 || message.qos === 2;
        const tx = valid ? this.#start(flow, dir, message, message.packetId) : this.#single(flow, dir, message);
        if (message.qos === 3) tx.addEvent('mqtt.invalid_qos_level');
        if (!this.#connected) tx.addEvent('mqtt.unintroduced_message');
        return tx;
      }
      case MqttType.CONNACK: {
        const tx = this.#answered(CONNECT_ID, message);
        if (tx !== null) {
          this.#connected = true;
          tx.complete();
          return tx;
        }
        const lone = this.#single(flow, dir, message);
        lone.addEvent('mqtt.missing_connect');
        return lone;
      }
      case MqttType.PUBREC:
      case MqttType.PUBREL:
        return this.#answered(message.packetId, message) ?? this.#orphan(flow, dir, message, 'mqtt.missing_publish');
      case MqttType.PUBACK:
      case MqttType.PUBCOMP:
        return this.#closing(flow, dir, message, 'mqtt.missing_publish');
      case MqttType.SUBACK:
        return this.#closing(flow, dir, message, 'mqtt.missing_subscribe');
      case MqttType.UNSUBACK:
        return this.#closing(flow, dir, message, 'mqtt.missing_unsubscribe');
      case MqttType.UNASSIGNED: {
        const tx = this.#single(flow, dir, message);
        tx.addEvent('mqtt.unassigned_msg_type');
        return tx;
      }
      default: {
        const tx = this.#single(flow, dir, message);
        if (!this.#connected) tx.addEvent('mqtt.unintroduced_message');
        return tx;
      }
    }
  }

  #closing(flow: Flow, dir: number, message: MqttMessage, missing: string): MqttTransaction {
    const tx = this.#answered(message.packetId, message);
    if (tx === null) return this.#orphan(flow, dir, message, missing);
    tx.complete();
    return tx;
  }

  #orphan(flow: Flow, dir: number, message: MqttMessage, event: string): MqttTransaction {
    const tx = this.#single(flow, dir, message);
    tx.addEvent(event);
    if (!this.#connected) tx.addEvent('mqtt.unintroduced_message');
    return tx;
  }

  /** The transaction that waits for this packet identifier, with the message added; null when none does. */
  #answered(packetId: number, message: MqttMessage): MqttTransaction | null {
    const at = this.#open.findIndex((tx) => tx.waitsFor === packetId);
    if (at < 0) return null;
    const tx = this.#open[at]!;
    if (tx.messages.length < MESSAGES_MAX) tx.messages.push(message);
    tx.touch();
    if (message.type !== MqttType.PUBREC && message.type !== MqttType.PUBREL) this.#open.splice(at, 1);
    return tx;
  }

  #start(flow: Flow, dir: number, message: MqttMessage, waitsFor: number): MqttTransaction {
    const tx = this.#push(flow, dir, message);
    tx.waitsFor = waitsFor;
    this.#open.push(tx);
    if (this.#open.length > OPEN_MAX) {
      const oldest = this.#open.shift()!;
      oldest.addEvent('mqtt.too_many_transactions');
      oldest.complete();
    }
    return tx;
  }

  #single(flow: Flow, dir: number, message: MqttMessage): MqttTransaction {
    const tx = this.#push(flow, dir, message);
    tx.complete();
    return tx;
  }

  #push(flow: Flow, dir: number, message: MqttMessage): MqttTransaction {
    const tx = new MqttTransaction(this.#nextId++, dir, this.#version);
    tx.messages.push(message);
    flow.transactions.push(tx);
    return tx;
  }

  #malformed(flow: Flow, dir: number): number {
    const tx = new MqttTransaction(this.#nextId++, dir, this.#version);
    tx.addEvent('mqtt.malformed_traffic');
    tx.complete();
    flow.transactions.push(tx);
    return -1;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // messages are complete or not there
  }
}

function probe(buf: Uint8Array, off: number, end: number): number {
  if (buf[off]! >> 4 === MqttType.UNASSIGNED || ((buf[off]! >> 1) & 3) === 3) return PROBE_NO;
  for (let i = 1; i <= 4; i++) {
    if (off + i >= end) return PROBE_MORE;
    if (buf[off + i]! < 128) return PROBE_YES;
  }
  return PROBE_NO;
}

const { BOTH } = Directions;
const connectField = (name: string, field: (connect: MqttConnect) => Uint8Array | null): ReturnType<typeof bytesBuffer> =>
  bytesBuffer<MqttTransaction>(name, BOTH, 0, (tx, _dir, index) => (index === 0 && tx.connect !== null ? field(tx.connect) : null));
const topicBuffer = (name: string, type: number): ReturnType<typeof bytesBuffer> => bytesBuffer<MqttTransaction>(name, BOTH, 0, (tx, _dir, index) => tx.topic(type, index));

export const MQTT_PROTOCOL: AppProtocol = {
  name: 'mqtt',
  transports: ['tcp'],
  ports: [1883],
  portsOnly: true,
  probe,
  create: () => new MqttParser(),
  buffers: [
    connectField('mqtt.connect.clientid', (connect) => connect.clientId),
    connectField('mqtt.connect.username', (connect) => connect.username),
    connectField('mqtt.connect.password', (connect) => connect.password),
    connectField('mqtt.connect.willtopic', (connect) => connect.willTopic),
    connectField('mqtt.connect.willmessage', (connect) => connect.willMessage),
    connectField('mqtt.connect.protocol_string', (connect) => connect.protocol),
    topicBuffer('mqtt.publish.topic', MqttType.PUBLISH),
    bytesBuffer<MqttTransaction>('mqtt.publish.message', BOTH, 0, (tx, _dir, index) => tx.messages.filter((message) => message.payload !== null)[index]?.payload),
    topicBuffer('mqtt.subscribe.topic', MqttType.SUBSCRIBE),
    topicBuffer('mqtt.unsubscribe.topic', MqttType.UNSUBSCRIBE),
    frameBuffer('mqtt', 'pdu'),
    frameBuffer('mqtt', 'header'),
    frameBuffer('mqtt', 'data'),
  ],
  completeToServer: 1,
  completeToClient: 1,
  events: [
    'mqtt.missing_connect',
    'mqtt.missing_publish',
    'mqtt.missing_subscribe',
    'mqtt.missing_unsubscribe',
    'mqtt.double_connect',
    'mqtt.unintroduced_message',
    'mqtt.invalid_qos_level',
    'mqtt.missing_msg_id',
    'mqtt.unassigned_msg_type',
    'mqtt.too_many_transactions',
    'mqtt.malformed_traffic',
  ],
};
