/** The real web server of the lab: nginx in the foreground, one process, everything it writes in one temporary folder. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabNetwork, LabVm } from './namespaces.js';

/** What the home page says; a visit that does not bring it back has failed. */
export const WELCOME = 'Drawbridge lab shop';
const START_MS = 5000;

const config = (root: string): string => `
daemon off;
master_process off;
worker_processes 1;
pid ${root}/nginx.pid;
error_log stderr error;
events { worker_connections 64; }
http {
  access_log off;
  default_type text/html;
  client_body_temp_path ${root}/body;
  proxy_temp_path ${root}/proxy;
  fastcgi_temp_path ${root}/fastcgi;
  uwsgi_temp_path ${root}/uwsgi;
  scgi_temp_path ${root}/scgi;
  server {
    listen 80;
    # Every path answers: an attack that came through would be served, so a reset is the appliance's doing.
    location / { root ${root}/html; try_files $uri /index.html; }
  }
}
`;

export class WebServer {
  readonly #root: string;

  /** @param prefix of its temporary folder; what killed runs left under the same prefix is removed, so one at a time may use it */
  constructor(prefix: string) {
    for (const name of readdirSync(tmpdir())) if (name.startsWith(prefix)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
    this.#root = mkdtempSync(join(tmpdir(), prefix));
    mkdirSync(join(this.#root, 'html'));
    writeFileSync(join(this.#root, 'html/index.html'), `<!doctype html><title>${WELCOME}</title><h1>${WELCOME}</h1><p>It works.</p>\n`);
    writeFileSync(join(this.#root, 'nginx.conf'), config(this.#root));
  }

  /** Start nginx in `vm` and wait until it answers there. @throws Error with what nginx says */
  async start(network: LabNetwork, vm: LabVm): Promise<void> {
    const child = network.start(vm, 'nginx', ['-p', this.#root, '-e', 'stderr', '-c', join(this.#root, 'nginx.conf')]);
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (s: string) => (said += s));
    const deadline = performance.now() + START_MS;
    while (performance.now() < deadline) {
      if (child.exitCode !== null) throw new Error(`nginx does not start: ${said.trim() || `exit code ${child.exitCode}`}`);
      const probe = await network.exec(vm, 'curl', ['-s', '-m', '1', 'http://127.0.0.1/'], 2000);
      if (probe.code === 0 && probe.stdout.includes(WELCOME)) return;
      await sleep(50);
    }
    throw new Error(`nginx does not answer${said === '' ? '' : `: ${said.trim()}`}`);
  }

  /** Remove its files; the process is the network's to end. */
  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}
