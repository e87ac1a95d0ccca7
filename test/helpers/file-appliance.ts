/**
 * A process of its own that plays the appliance for tests of the real driver, so that it can be killed: refuses content that
 * holds MARKER, never answers about paths that hold "slow". Commands come over IPC.
 */
import { DriverServer, FileVerdict, type DriverPolicy, type DriverSession, type FileEvent } from '../../src/file-events/index.js';

export const MARKER = 'X5O!DRAWBRIDGE-TEST-FILE!$H+H*';

export type Command =
  | { readonly do: 'stats' | 'sessions' | 'log' }
  | { readonly do: 'policy'; readonly policy: DriverPolicy }
  | { readonly do: 'forget' }
  | { readonly do: 'list'; readonly path: string; readonly hashUpTo: number }
  | { readonly do: 'read' | 'remove'; readonly path: string }
  | { readonly do: 'restore'; readonly path: string; readonly text: string }
  | { readonly do: 'follow'; readonly path: string; readonly bytes: number };

async function contains(event: FileEvent): Promise<boolean> {
  const needle = Buffer.from(MARKER);
  let tail = Buffer.alloc(0);
  for (let at = 0; ; ) {
    const bytes = await event.content.read(at, 65_536);
    if (bytes.length === 0) return false;
    const window = Buffer.concat([tail, bytes]);
    if (window.includes(needle)) return true;
    tail = window.subarray(-needle.length);
    at += bytes.length;
    if (bytes.length < 65_536) return false;
  }
}

async function collect(iterable: AsyncIterable<{ readonly bytes: Uint8Array; readonly rotated: boolean }>, wanted: number): Promise<string> {
  let text = '';
  for await (const chunk of iterable) {
    text += `${chunk.rotated ? '|' : ''}${Buffer.from(chunk.bytes).toString()}`;
    if (text.length >= wanted) return text;
  }
  return text;
}

function serve(socket: string, token: string, first: DriverPolicy): void {
  let session: DriverSession | null = null;
  const log: string[] = [];
  const access = { token, uids: [0], policy: first };
  const server = new DriverServer({ vms: new Map([['vm', access]]), maxConnections: 16, nowMs: () => performance.now(), log: (text) => log.push(text) }, {
    connected: (s) => {
      session = s;
    },
    disconnected: () => undefined,
    changed: (c) => log.push(`change ${c.kind} ${c.path} ${c.process.image}`),
    judge: async (event) => {
      log.push(`event ${event.kind} ${event.path} uid ${event.process.uid} ${event.process.image} fd ${event.content.fd >= 0}`);
      if (event.path.includes('slow')) return new Promise(() => undefined);
      const { identity } = await event.content.sha256();
      const bad = await contains(event);
      return { verdict: bad ? FileVerdict.DENY : FileVerdict.ALLOW, remember: identity === event.meta.identity, reason: bad ? 'marker' : 'clean' };
    },
  });
  const act = async (c: Command): Promise<unknown> => {
    switch (c.do) {
      case 'stats':
        return { ...session!.stats, server: server.counters };
      case 'sessions':
        return server.sessions.size;
      case 'log':
        return log.splice(0);
      case 'policy':
        server.setPolicy('vm', c.policy);
        return null;
      case 'forget':
        server.setEpoch(2);
        return null;
      case 'list': {
        const found: [string, number, string][] = [];
        for await (const batch of session!.list(c.path, c.hashUpTo)) found.push(...batch.map((e): [string, number, string] => [e.name, e.meta.mode, Buffer.from(e.sha256).toString('hex')]));
        return found;
      }
      case 'read': {
        const file = await session!.openFile(c.path);
        const text = Buffer.from(await file.read(0, 100)).toString();
        const digest = Buffer.from((await file.sha256()).sha256).toString('hex');
        await file.close();
        return [text, digest];
      }
      case 'remove': {
        const file = await session!.openFile(c.path);
        await file.close();
        await session!.remove(c.path, file.meta.identity);
        return null;
      }
      case 'restore':
        await session!.restore(c.path, { mode: 0o4750, uid: 12, gid: 34, mtimeNs: 5_000_000_007n }, (async function* pieces() {
          yield Buffer.from(c.text);
        })());
        return null;
      case 'follow':
        return collect(session!.follow(c.path, 0), c.bytes);
    }
  };
  process.on('message', (m: { id: number; command: Command }) => {
    act(m.command).then(
      (value) => process.send!({ id: m.id, value }),
      (error: unknown) => process.send!({ id: m.id, error: String(error) }),
    );
  });
  server.listenUnix(socket);
  process.send!({ id: 0 });
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) serve(process.argv[2]!, process.argv[3]!, JSON.parse(process.argv[4]!) as DriverPolicy);
