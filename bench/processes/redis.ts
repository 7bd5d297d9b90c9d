import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { freePort } from '../../lab/free-port.js';

/** A Redis server for a measure. It keeps its data in memory only and ends with the measure. */
export class BenchRedis {
  private constructor(
    readonly url: string,
    private readonly server: ChildProcess,
  ) {}

  /** Resolves with `undefined` if no Redis server is installed. */
  static async start(): Promise<BenchRedis | undefined> {
    const port = await freePort();
    const command = process.env['REDIS_SERVER_PATH'] ?? 'redis-server';
    const persistence = ['--save', '', '--appendonly', 'no'];
    const args = ['--port', String(port), '--bind', '127.0.0.1', ...persistence];
    const server = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const isReady = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.once('exit', () => resolve(false));
      server.stdout.on('data', (chunk: Buffer) => {
        if (chunk.includes('Ready to accept connections')) resolve(true);
      });
    });
    return isReady ? new BenchRedis(`redis://127.0.0.1:${port}`, server) : undefined;
  }

  async end(): Promise<void> {
    if (this.server.exitCode !== null || this.server.signalCode !== null) return;
    const ended = once(this.server, 'exit');
    this.server.kill('SIGKILL');
    await ended;
  }
}
