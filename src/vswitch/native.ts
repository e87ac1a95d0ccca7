/** The native addon, loaded when the first port needs it: replays and tests of JavaScript ports do without. */
import { createRequire } from 'node:module';

export type Native = typeof import('@drawbridge/native');
export type NativeLoop = InstanceType<Native['IoLoop']>;

let loaded: Native | undefined;

/** @throws Error that says how to build it when it is not there */
export function loadNative(): Native {
  if (loaded !== undefined) return loaded;
  try {
    loaded = createRequire(import.meta.url)('@drawbridge/native') as Native;
  } catch (error) {
    throw new Error(`the native addon is missing (build it with "npm run build"): ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return loaded;
}

/**
 * Run a call that opens an interface; when the kernel forbids it say what the process lacks, since the errno alone sends
 * people looking at the wrong thing.
 * @param need what is needed, in words
 * @throws the error of `open`, with the same `code`
 */
export function opening<T>(need: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || !['EPERM', 'EACCES', 'ENOENT'].includes(String(error.code))) throw error;
    throw Object.assign(new Error(`${error.message}; this takes ${need} (docs/deployment.md, Privileges)`, { cause: error }), { code: error.code });
  }
}
