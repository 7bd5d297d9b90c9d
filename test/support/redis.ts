import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createClient } from 'redis';

import { freePort } from '../../lab/free-port.js';

/** The used part of a Redis client, whose full type is very large. */
interface CommandClient {
  sendCommand(args: string[]): Promise<unknown>;
  destroy(): void;
}

interface Subscriber {
  subscribe(channel: string, listener: (text: string) => void): Promise<void>;
  destroy(): void;
}

const ATTEMPTS = 5;

/**
 * A Redis server for a test. It keeps no data on disk, so a stop loses all data. The caller stops it.
 */
export class TestRedis implements AsyncDisposable {
  #process: ChildProcess | undefined;
  #client: CommandClient | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly args: readonly string[],
  ) {}

  /** @param args arguments of `redis-server`, for example `['--maxmemory', '2mb']` */
  static async start(args: readonly string[] = []): Promise<TestRedis> {
    const folder = await mkdtemp(join(tmpdir(), 'isolation-redis-'));
    for (let attempt = 1; ; attempt += 1) {
      const redis = new TestRedis(await freePort(), folder, args);
      try {
        await redis.#launch();
        return redis;
      } catch (error) {
        // Another process may have taken the port since `freePort` found it.
        if (attempt === ATTEMPTS || !String(error).includes('in use')) throw error;
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Sends a command over a separate connection. */
  async command(...args: string[]): Promise<unknown> {
    this.#client ??= await createClient({ url: this.url }).on('error', ignore).connect();
    return this.#client.sendCommand(args);
  }

  /** Opens a connection that can subscribe. The caller destroys it. */
  async subscriber(): Promise<Subscriber> {
    return createClient({ url: this.url }).on('error', ignore).connect();
  }

  /** Calls a listener with the text of every command that the server runs. The caller destroys the connection. */
  async monitor(listener: (command: string) => void): Promise<Pick<Subscriber, 'destroy'>> {
    const client = await createClient({ url: this.url }).on('error', ignore).connect();
    await client.monitor(listener);
    return client;
  }

  /** Resolves with the number of slots of all users in Redis. */
  async leases(): Promise<number> {
    const keys = (await this.command('KEYS', '*:leases')) as string[];
    const counts = await Promise.all(keys.map((key) => this.command('ZCARD', key)));
    return counts.reduce<number>((sum, count) => sum + Number(count), 0);
  }

  /** Kills the server. All its data is lost. */
  async kill(): Promise<void> {
    this.#client?.destroy();
    this.#client = undefined;
    const server = this.#process;
    this.#process = undefined;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }

  /** Starts an empty server on the same port after {@link kill}. */
  launch(): Promise<void> {
    return this.#launch();
  }

  /** Suspends the server: connections stay open, but commands get no reply. */
  freeze(): void {
    this.#process!.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process!.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #launch(): Promise<void> {
    const fixed = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.folder];
    const args = ['--port', String(this.port), ...fixed, ...this.args];
    const server = spawn(process.env['REDIS_SERVER_PATH'] ?? 'redis-server', args);
    this.#process = server;
    const killWithUs = (): void => void server.kill('SIGKILL');
    process.once('exit', killWithUs);
    server.once('exit', () => process.off('exit', killWithUs));
    await ready(server);
  }
}

// Resolves when the server accepts connections.
function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      if (/ready to accept connections/i.test(output)) resolve();
    };
    server.stdout!.on('data', read);
    server.stderr!.on('data', read);
    server.once('exit', () => reject(new Error(`redis-server ended at once:\n${output}`)));
    server.once('error', (cause) =>
      reject(
        new Error('redis-server is missing: run `npm run setup` as root, which installs it.', {
          cause,
        }),
      ),
    );
  });
}

function ignore(): void {
  // The test stopped the server on purpose.
}
