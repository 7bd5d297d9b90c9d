import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually } from 'nestjs-websocket-isolation/testing';

import { proxyBlock } from './readme.js';
import { freePort } from './redis.js';

export type ProxyName = 'nginx' | 'haproxy';

// The arguments and settings that the guide's blocks need to run in a temporary folder, in the foreground.
const COMMANDS: Readonly<Record<ProxyName, (file: string, folder: string) => string[]>> = {
  nginx: (file, folder) => ['-p', folder, '-e', 'stderr', '-c', file],
  haproxy: (file) => ['-db', '-f', file],
};
const SETTINGS: Readonly<Record<ProxyName, (block: string) => string>> = {
  nginx: (block) =>
    `daemon off; master_process off; pid nginx.pid; events {} http { access_log off;
     client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
     ${block} }`,
  haproxy: (block) => block,
};

/** A real proxy in front of two nodes, with the configuration from the deployment guide. */
export class TestProxy implements AsyncDisposable {
  private constructor(
    readonly port: number,
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {}

  /** @param change changes the guide's block, for a comparison */
  static async start(
    name: ProxyName,
    [first, second]: readonly [number, number],
    change: (block: string) => string = (block) => block,
  ): Promise<TestProxy> {
    const folder = await mkdtemp(join(tmpdir(), 'isolation-proxy-'));
    const port = await freePort();
    const block = change(proxyBlock(name))
      .replace('127.0.0.1:3000', `127.0.0.1:${first}`)
      .replace('127.0.0.1:3001', `127.0.0.1:${second}`)
      .replace(
        /(listen |bind :)8080/,
        (_all, words) => `${String(words).replace(':', '')}127.0.0.1:${port}`,
      );
    const file = join(folder, 'proxy.conf');
    await writeFile(file, SETTINGS[name](block));
    const command = process.env[`${name.toUpperCase()}_PATH`] ?? name;
    const child = spawn(command, COMMANDS[name](file, folder), {
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const killWithUs = (): void => void child.kill('SIGKILL');
    process.once('exit', killWithUs);
    child.once('exit', () => process.off('exit', killWithUs));
    const proxy = new TestProxy(port, child, folder);
    await eventually(() => listening(port));
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function listening(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
}
