import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { TestClient } from 'nestjs-websocket-isolation/testing';

import type { NodeRelease } from '../../lab/node-releases.js';
import { errorIn, SetupError } from './setup.js';

/** What a visitor sees. Nest raises the signal again after its hooks, unless the release ends with status 0. */
const RIGHT = new Set(
  ['SIGTERM', '0'].map((how) =>
    JSON.stringify(['Hello World!', 'welcome', { you: 'ada' }, 1001, how]),
  ),
);

/**
 * Starts an app, talks to it over HTTP and over a socket, and ends it with SIGTERM.
 *
 * @throws {SetupError} with the error that the app has printed, if it does not start
 */
export async function visit(node: NodeRelease, folder: string, main: string): Promise<void> {
  const child = spawn(join(node.bin, 'node'), [main], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const exited = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? String(code)));
  });
  try {
    const port = await new Promise<string>((resolve, reject) => {
      void exited.then((how) => reject(new SetupError(errorIn(printed || `exited with ${how}`))));
      createInterface(child.stdout).on('line', (line) => {
        printed += `${line}\n`;
        if (line.startsWith('port ')) resolve(line.slice('port '.length));
      });
    });
    const hello = await (await fetch(`http://127.0.0.1:${port}/`)).text();
    const client = await TestClient.open(`ws://127.0.0.1:${port}/chat?token=ada`);
    const { event, data } = await client.next();
    child.kill('SIGTERM');
    const seen = JSON.stringify([hello, event, data, await client.closed(), await exited]);
    if (!RIGHT.has(seen)) throw new SetupError(`saw ${seen}`);
  } finally {
    child.kill('SIGKILL');
  }
}
