import { pauseAfter } from '../time/back-off.js';
import type { Clock, Release } from '../time/clock.js';
import { optionalPeer } from '../config/optional-peer.js';
import { activityOf } from './line-activity.js';
import { answerWithin, RedisTimeoutError } from './redis-deadline.js';
import type { RedisClientToCopy, RedisClusterSettings } from './redis.options.js';
import { isSingle, type ScriptClient } from './script.js';

/** Commands that may wait for their reply on one connection. */
const LONGEST_QUEUE = 50_000;
/**
 * This library sets its own deadlines. The default of the `redis` package is five seconds for each command until it is
 * sent: it loses messages on a machine that is busy for so long, and costs a timer for each command.
 */
const COMMAND_OPTIONS = { timeout: undefined };
/** Milliseconds that connecting may take. */
export const CONNECT_TIMEOUT_MS = 2_000;
/** Milliseconds between pings of each connection. A connection whose pong takes longer is replaced. */
const PING_MS = 5_000;
/** Pauses between attempts to connect. */
const BACK_OFF = { firstMs: 50, longestMs: 2_000 };

/** The methods used here that every kind of client of the `redis` package has. */
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

/** What a connection is for. Each purpose has its own connection: a subscriber, for example, cannot send commands. */
export type ConnectionPurpose = 'leases' | 'publish' | 'subscribe' | 'streams';

/**
 * The connections to Redis. None of them queues commands while it is offline: a command whose caller has stopped
 * waiting must not be sent later.
 */
export class RedisConnections {
  readonly #open = new Map<ConnectionPurpose, RedisConnection>();
  /** Connections that were offline at the last ping. */
  readonly #unready = new Set<RedisConnection>();
  #createClient: ((options: object) => unknown) | undefined;
  #stopPinging: Release | undefined;
  #isClosed = false;

  /**
   * @param onError gets the errors of a connection that belong to no command
   * @param onReady called when a connection is ready, at first and after each reconnect
   */
  constructor(
    private readonly clock: Clock,
    private readonly settings: Readonly<RedisClusterSettings>,
    private readonly onError: (purpose: ConnectionPurpose, error: Error) => void,
    private readonly onReady: (purpose: ConnectionPurpose) => void,
  ) {}

  /**
   * Starts the pings, and loads the `redis` package if the app has not passed a client. Call it before the first
   * {@link get}.
   *
   * @throws {IsolationError} `PEER_MISSING` if the package is not installed
   */
  async load(): Promise<void> {
    this.#stopPinging ??= this.clock.every(PING_MS, () => this.#pingAll());
    if (this.settings.client) return;
    const { createClient } = await optionalPeer('redis', 'redis', () => import('redis'));
    this.#createClient = createClient;
  }

  /** The connection for a purpose, created on first use. It connects and reconnects by itself. */
  get(purpose: ConnectionPurpose): RedisConnection {
    // A connection that is created after close() would never be closed.
    if (this.#isClosed) throw new Error('this process has left the cluster');
    let connection = this.#open.get(purpose);
    if (!connection) {
      connection = this.#make(purpose);
      this.#open.set(purpose, connection);
    }
    return connection;
  }

  /** Whether PUBLISH returns the number of all subscribers: a node of a Redis Cluster counts only its own. */
  get seesAllReceivers(): boolean {
    return !('masters' in this.get('publish'));
  }

  /** Closes a connection that seems dead. The next call of {@link get} creates a new one. */
  replace(purpose: ConnectionPurpose): void {
    const connection = this.#open.get(purpose);
    this.#open.delete(purpose);
    if (!connection) return;
    this.#unready.delete(connection);
    cut(connection);
  }

  /** Closes all connections. Pending commands are rejected. */
  close(): void {
    this.#isClosed = true;
    this.#stopPinging?.();
    for (const purpose of this.#open.keys()) this.replace(purpose);
  }

  // A ping of our own instead of the socket's timeout, which mistakes a sleep of this process for silence of Redis.
  #pingAll(): void {
    if (!nameOneServer(this.settings)) return;
    for (const [purpose, connection] of this.#open) void this.#ping(purpose, connection);
  }

  async #ping(purpose: ConnectionPurpose, connection: RedisConnection): Promise<void> {
    const before = activityOf(connection);
    try {
      await answerWithin(this.clock, PING_MS, connection.ping!());
      this.#unready.delete(connection);
    } catch (error) {
      if (this.#open.get(purpose) !== connection) return;
      // A ping fails at once while the client connects. Connecting can hang too, once the socket is open: a client that
      // is offline at two pings in a row is replaced.
      const isDead = error instanceof RedisTimeoutError;
      // The ping waits behind other commands, which get their replies.
      if (isDead && activityOf(connection) !== before) return;
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
    // A Redis Cluster client emits events of its nodes only.
    for (const event of ['ready', 'node-ready']) connection.on(event, isReady);
    connection.connect().then(isReady, (error: Error) => {
      if (!isOurs()) return;
      // A single client retries for ever. A Redis Cluster client gives up, so the next use has to create a new one.
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
    // The connection is closed already.
  }
}

interface CopiedClient extends RedisClientToCopy {
  /** Set for a single client only: clients of Sentinel and Redis Cluster manage their own sockets. */
  readonly options?: { readonly socket?: object; readonly database?: number };
}

/** The number of the database that the settings name. A Sentinel client does not expose it, and counts as 0. */
export function databaseOf({ url, client }: Readonly<RedisClusterSettings>): number {
  if (!client) return Number(new URL(url!).pathname.slice(1)) || 0;
  return (client as CopiedClient).options?.database ?? 0;
}

/**
 * Whether the settings name one server: a script may then use any keys. Clients of Sentinel and Redis Cluster replace
 * dead connections themselves.
 */
export function nameOneServer({ client }: Readonly<RedisClusterSettings>): boolean {
  return !client || isSingle(client);
}

function copyOf(client: RedisClientToCopy): RedisConnection {
  const { options } = client as CopiedClient;
  const ours = options && connectionOptions();
  const overrides = {
    ...ours,
    ...(ours && { socket: { ...options.socket, ...ours.socket } }),
    // The options of the app may change how replies are read, for example as buffers. Replies of scripts are read as
    // text.
    commandOptions: COMMAND_OPTIONS,
  };
  return client.duplicate(overrides as never) as RedisConnection;
}

function connectionOptions() {
  return {
    disableOfflineQueue: true,
    commandsQueueMaxLength: LONGEST_QUEUE,
    commandOptions: COMMAND_OPTIONS,
    // This class sends its own pings.
    pingInterval: 0,
    // CLIENT SETINFO is not needed, and not every user of Redis has the right to it.
    disableClientInfo: true,
    socket: { connectTimeout: CONNECT_TIMEOUT_MS, socketTimeout: 0, reconnectStrategy },
  };
}

function reconnectStrategy(retries: number): number {
  return pauseAfter(retries + 1, BACK_OFF);
}
