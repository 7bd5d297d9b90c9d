import { pauseAfter } from '../time/back-off.js';
import type { Clock, Release } from '../time/clock.js';
import { optionalPeer } from '../config/optional-peer.js';
import { answerWithin, RedisTimeoutError } from './redis-deadline.js';
import type { RedisClientToCopy, RedisClusterSettings } from './redis.options.js';
import type { ScriptClient } from './script.js';

/** Commands that may wait for their answer on one connection. */
const LONGEST_QUEUE = 50_000;
/**
 * Deadlines are our own. The default of the package, five seconds for each command until it is sent, loses messages on a
 * machine that is busy for so long; and it is a timer for each command.
 */
const COMMAND_OPTIONS = { timeout: undefined };
/** How long making a connection may take. */
export const CONNECT_TIMEOUT_MS = 2_000;
/** How often each connection is pinged, and how long the answer may take before it is replaced. */
const PING_MS = 5_000;
/** Between attempts to connect. */
const BACK_OFF = { firstMs: 50, longestMs: 2_000 };

/** What every kind of client of the `redis` package can do, as far as it is used here. */
export interface RedisConnection extends ScriptClient {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  zRem(key: string, members: string[]): Promise<number>;
  publish(channel: string, message: string): Promise<number>;
  subscribe(channel: string, listener: (message: string) => void): Promise<void>;
  info?(section: string): Promise<string>;
  ping?(): Promise<unknown>;
}

/** What a connection is for. Each purpose has its own: a subscriber cannot send, a blocking read blocks. */
export type ConnectionPurpose = 'leases' | 'publish' | 'subscribe' | 'streams';

/**
 * The connections to Redis. None of them queues while it is away: a command that nobody waits for any
 * more must not be sent later.
 */
export class RedisConnections {
  readonly #open = new Map<ConnectionPurpose, RedisConnection>();
  /** Those that were not connected at the last ping. */
  readonly #unready = new Set<RedisConnection>();
  #createClient: ((options: object) => unknown) | undefined;
  #stopPinging: Release | undefined;
  #isClosed = false;

  /**
   * @param onError gets what happens on a connection outside of any command
   * @param onReady called when a connection is there, at first and after it was away
   */
  constructor(
    private readonly clock: Clock,
    private readonly settings: Readonly<RedisClusterSettings>,
    private readonly onError: (purpose: ConnectionPurpose, error: Error) => void,
    private readonly onReady: (purpose: ConnectionPurpose) => void,
  ) {}

  /**
   * Loads the package that connects, where the app has not brought a client of its own. Before the first {@link get}.
   *
   * @throws {IsolationError} `PEER_MISSING` where it is not installed
   */
  async load(): Promise<void> {
    this.#stopPinging ??= this.clock.every(PING_MS, () => this.#pingAll());
    if (this.settings.client) return;
    const { createClient } = await optionalPeer('redis', 'redis', () => import('redis'));
    this.#createClient = createClient;
  }

  /** The connection for a purpose, made when first asked for. It connects, and connects again, by itself. */
  get(purpose: ConnectionPurpose): RedisConnection {
    // Whoever comes late would make one that nobody closes.
    if (this.#isClosed) throw new Error('this process has left the cluster');
    let connection = this.#open.get(purpose);
    if (!connection) {
      connection = this.#make(purpose);
      this.#open.set(purpose, connection);
    }
    return connection;
  }

  /** Whether PUBLISH counts everybody who listens: a node of a Redis Cluster counts its own listeners only. */
  get seesAllReceivers(): boolean {
    return !('masters' in this.get('publish'));
  }

  /** Cuts one that seems dead: the next to ask for it gets a new one. */
  replace(purpose: ConnectionPurpose): void {
    const connection = this.#open.get(purpose);
    this.#open.delete(purpose);
    if (!connection) return;
    this.#unready.delete(connection);
    cut(connection);
  }

  /** Cuts all of them. Commands under way are rejected. */
  close(): void {
    this.#isClosed = true;
    this.#stopPinging?.();
    for (const purpose of this.#open.keys()) this.replace(purpose);
  }

  // Not by the timeout of the socket: that takes the sleep of this process for silence of Redis.
  #pingAll(): void {
    if (!isSingle(this.settings)) return;
    for (const [purpose, connection] of this.#open) void this.#ping(purpose, connection);
  }

  async #ping(purpose: ConnectionPurpose, connection: RedisConnection): Promise<void> {
    try {
      await answerWithin(this.clock, PING_MS, connection.ping!());
      this.#unready.delete(connection);
    } catch (error) {
      if (this.#open.get(purpose) !== connection) return;
      // It fails at once while it connects; that may hang as well, once the line is there.
      const isDead = error instanceof RedisTimeoutError;
      if (!isDead && !this.#unready.has(connection)) {
        this.#unready.add(connection);
        return;
      }
      this.replace(purpose);
      if (isDead) this.onError(purpose, error);
      if (!this.#isClosed) this.get(purpose);
    }
  }

  #make(purpose: ConnectionPurpose): RedisConnection {
    const { url, client } = this.settings;
    const connection = client
      ? copyOf(client)
      : (this.#createClient!({ ...connectionOptions(), url: url! }) as RedisConnection);
    const isOurs = (): boolean => this.#open.get(purpose) === connection;
    const isReady = (): void => {
      if (isOurs()) this.onReady(purpose);
    };
    // Without a listener an `error` event would end the process.
    connection.on('error', (error) => isOurs() && this.onError(purpose, error as Error));
    // A client of a Redis Cluster speaks of its nodes only.
    for (const event of ['ready', 'node-ready']) connection.on(event, isReady);
    connection.connect().then(isReady, (error: Error) => {
      if (!isOurs()) return;
      // A single client tries again for ever, one of a Redis Cluster gives up: then a new one has to try.
      this.replace(purpose);
      this.onError(purpose, error);
    });
    return connection;
  }
}

function cut(connection: RedisConnection): void {
  try {
    connection.destroy();
  } catch {
    // It is closed already.
  }
}

interface CopiedClient extends RedisClientToCopy {
  /** A single client's; those of Sentinel and Redis Cluster are their own business. */
  readonly options?: { readonly socket?: object; readonly database?: number };
}

/** The database that the settings name. One behind Sentinel does not say, and counts as 0. */
export function databaseOf({ url, client }: Readonly<RedisClusterSettings>): number {
  if (!client) return Number(new URL(url!).pathname.slice(1)) || 0;
  return (client as CopiedClient).options?.database ?? 0;
}

// Clients of Sentinel and of a Redis Cluster look after their lines themselves.
function isSingle({ client }: Readonly<RedisClusterSettings>): boolean {
  return !client || (client as CopiedClient).options !== undefined;
}

function copyOf(client: RedisClientToCopy): RedisConnection {
  const { options } = client as CopiedClient;
  const ours = options && connectionOptions();
  const overrides = {
    ...ours,
    ...(ours && { socket: { ...options.socket, ...ours.socket } }),
    // Not as the app reads its own answers (as buffers, say): scripts are read as text.
    commandOptions: COMMAND_OPTIONS,
  };
  return client.duplicate(overrides as never) as RedisConnection;
}

function connectionOptions() {
  return {
    disableOfflineQueue: true,
    commandsQueueMaxLength: LONGEST_QUEUE,
    commandOptions: COMMAND_OPTIONS,
    // Pings are our own.
    pingInterval: 0,
    // Nobody needs it, and not every user of Redis may say it.
    disableClientInfo: true,
    socket: { connectTimeout: CONNECT_TIMEOUT_MS, socketTimeout: 0, reconnectStrategy },
  };
}

function reconnectStrategy(retries: number): number {
  return pauseAfter(retries + 1, BACK_OFF);
}
