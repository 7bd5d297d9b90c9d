import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually } from 'nestjs-websocket-isolation/testing';

import { freePort } from './free-port.js';

export type ProxyName = 'nginx' | 'haproxy';

/**
 * One process may have too few file descriptors for a large crowd: each connection takes two. nginx has workers.
 * HAProxy has threads in one process, and shares its port with another one.
 */
const PROCESSES = 2;
// The arguments and settings that the guide's blocks need to run in a temporary folder, in the foreground.
const COMMANDS: Readonly<Record<ProxyName, (file: string, folder: string) => string[]>> = {
  nginx: (file, folder) => ['-p', folder, '-e', 'stderr', '-c', file],
  haproxy: (file) => ['-db', '-f', file],
};
const SETTINGS: Readonly<Record<ProxyName, (block: string) => string>> = {
  nginx: (block) =>
    `daemon off; worker_processes ${PROCESSES}; pid nginx.pid; events { worker_connections 20000; }
     http { access_log off; error_log stderr crit;
     client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
     ${block} }`,
  haproxy: (block) => block,
};

/** A real proxy in front of some nodes, with the configuration from the deployment guide. */
export class Proxy implements AsyncDisposable {
  private constructor(
    readonly port: number,
    private readonly children: readonly ChildProcess[],
    private readonly folder: string,
  ) {}

  /**
   * @param guide the text of the deployment guide
   * @param nodes the ports of the nodes
   * @param change changes the guide's block, for a comparison
   */
  static async start(
    name: ProxyName,
    guide: string,
    nodes: readonly number[],
    change: (block: string) => string = (block) => block,
  ): Promise<Proxy> {
    const folder = await mkdtemp(join(tmpdir(), 'isolation-proxy-'));
    const port = await freePort();
    const file = join(folder, 'proxy.conf');
    const block = withPorts(change(blockOf(name, guide)), port, nodes);
    await writeFile(file, SETTINGS[name](block));
    const command = process.env[`${name.toUpperCase()}_PATH`] ?? name;
    const children = Array.from({ length: name === 'nginx' ? 1 : PROCESSES }, () =>
      spawn(command, COMMANDS[name](file, folder), {
        env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` },
        stdio: ['ignore', 'ignore', 'inherit'],
      }),
    );
    for (const child of children) {
      // Both end at once on SIGTERM. SIGKILL would leave the workers of nginx behind.
      const endWithUs = (): void => void child.kill('SIGTERM');
      process.once('exit', endWithUs);
      child.once('exit', () => process.off('exit', endWithUs));
    }
    const proxy = new Proxy(port, children, folder);
    await eventually(() => listening(port));
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        await ended;
      }),
    );
    await rm(this.folder, { recursive: true, force: true });
  }
}

function blockOf(name: ProxyName, guide: string): string {
  const pattern = new RegExp(`<!-- proxy: ${name} -->\\s*\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``);
  const block = pattern.exec(guide)?.[1];
  if (block === undefined) throw new Error(`the deployment guide has no block for ${name}`);
  return block;
}

// The guide has one line for each of two nodes.
function withPorts(block: string, port: number, nodes: readonly number[]): string {
  const [first] = /^.*127\.0\.0\.1:3000.*\n/m.exec(block)!;
  const lines = nodes.map((node, index) =>
    first.replace('127.0.0.1:3000', `127.0.0.1:${node}`).replace('node1', `node${index + 1}`),
  );
  return block
    .replace(first, lines.join(''))
    .replace(/^.*127\.0\.0\.1:3001.*\n/m, '')
    .replace(
      /(listen |bind :)8080/,
      (_all, words: string) => `${words.replace(':', '')}127.0.0.1:${port}`,
    );
}

async function listening(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
}
