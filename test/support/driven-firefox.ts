import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const PATHS = ['/usr/bin/firefox-esr', '/usr/bin/firefox'];

/** Settings of the profile: no pages and no network traffic of the browser's own. */
const PREFERENCES = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'toolkit.telemetry.enabled': false,
};

interface Work {
  readonly body: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** What the page runs: asks for the body of a function, and sends back what it returns. */
const DRIVER = `
for (;;) {
  const body = await (await fetch(new URL('/next', import.meta.url))).text();
  const run = Object.getPrototypeOf(async () => {}).constructor(body);
  const done = await run().then((value) => ({ value }), (error) => ({ error: String(error?.stack ?? error) }));
  await fetch(new URL('/done', import.meta.url), { method: 'POST', body: JSON.stringify(done) });
}`;

/**
 * A page in the Firefox that the system has. The tools that drive browsers bring a Firefox of their own; here the page
 * asks for its work itself, over a server that is not the one under test.
 */
export class DrivenFirefox implements AsyncDisposable {
  readonly #profile = mkdtempSync(join(tmpdir(), 'firefox-'));
  readonly #waiting: Work[] = [];
  readonly #server: Server;
  #next: ServerResponse | undefined = undefined;
  #running: Work | undefined = undefined;
  #end: (() => Promise<unknown>) | undefined = undefined;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** @param urlOf the URL of a page that loads the script at the given URL as a module */
  static async open(urlOf: (script: string) => string): Promise<DrivenFirefox> {
    const path = process.env['FIREFOX_PATH'] ?? PATHS.find((known) => existsSync(known));
    if (!path)
      throw new Error('Firefox is missing: run `npm run setup` as root, which installs it.');
    const firefox = new DrivenFirefox();
    const lines = Object.entries(PREFERENCES).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
    );
    writeFileSync(join(firefox.#profile, 'user.js'), lines.join('\n'));
    firefox.#server.listen(0, '127.0.0.1');
    await once(firefox.#server, 'listening');
    const { port } = firefox.#server.address() as AddressInfo;
    const url = urlOf(`http://127.0.0.1:${port}/driver.js`);
    const args = ['--headless', '--no-remote', '--profile', firefox.#profile, url];
    const child = spawn(path, args, { stdio: 'ignore', env: { ...process.env, HOME: tmpdir() } });
    const ended = once(child, 'exit');
    firefox.#end = () => {
      child.kill('SIGKILL');
      return ended;
    };
    void ended.then(() => firefox.#running?.reject(new Error('Firefox has ended')));
    return firefox;
  }

  /** Runs the body of an async function in the page. */
  evaluate<T>(body: string): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ body, resolve: resolve as Work['resolve'], reject });
      this.#hand();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end?.();
    this.#server.closeAllConnections();
    this.#server.close();
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Access-Control-Allow-Origin', '*');
    if (request.url === '/next') {
      this.#next = response;
      return this.#hand();
    }
    if (request.url === '/done') {
      const { value, error } = JSON.parse(await text(request)) as {
        value?: unknown;
        error?: string;
      };
      const work = this.#running;
      this.#running = undefined;
      if (error === undefined) work?.resolve(value);
      else work?.reject(new Error(error));
      return void response.end();
    }
    response.setHeader('Content-Type', 'text/javascript').end(DRIVER);
  }

  #hand(): void {
    if (!this.#next) return;
    const work = this.#waiting.shift();
    if (!work) return;
    this.#running = work;
    this.#next.end(work.body);
    this.#next = undefined;
  }
}
