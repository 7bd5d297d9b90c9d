import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { createClient, type RedisClientOptions } from 'redis';

import { freePort } from '../../lab/free-port.js';

/**
 * Options of a client that is compared with the library's, which set no timer for each command either. By default there
 * is one, and it costs more than sending the command.
 */
export const WITHOUT_TIMERS: RedisClientOptions = { commandOptions: { timeout: 0 } };

/** A Redis server for a measure. It keeps its data in memory only and ends with the measure. */
export class BenchRedis {
  #client: { info(section: string): Promise<string>; destroy(): void } | undefined;

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

  /** Resolves with the processor time of the server so far, in microseconds. */
  async cpu(): Promise<number> {
    const info = await this.#info('cpu');
    return (info('used_cpu_user') + info('used_cpu_sys')) * 1e6;
  }

  /** Resolves with the bytes that the server keeps. */
  async bytes(): Promise<number> {
    return (await this.#info('memory'))('used_memory');
  }

  async #info(section: string): Promise<(field: string) => number> {
    this.#client ??= await createClient({ url: this.url }).connect();
    const text = await this.#client.info(section);
    return (field) => Number(new RegExp(`^${field}:(.+)$`, 'm').exec(text)?.[1]);
  }

  async end(): Promise<void> {
    this.#client?.destroy();
    if (this.server.exitCode !== null || this.server.signalCode !== null) return;
    const ended = once(this.server, 'exit');
    this.server.kill('SIGKILL');
    await ended;
  }
}

/** Calls `work` with a Redis server, and ends the server even if `work` rejects. Says that it is skipped without one. */
export async function withRedis(
  what: string,
  work: (redis: BenchRedis) => Promise<void>,
): Promise<void> {
  const redis = await BenchRedis.start();
  if (!redis) {
    console.error(`Skipped, because redis-server is not installed: ${what}.`);
    return;
  }
  try {
    await work(redis);
  } finally {
    await redis.end();
  }
}
