import type { AnyContract } from '../contract/contract.js';
import type { Reaction } from './reactions.js';

/** Why a token is needed: to connect; because the server has refused the last one; because it is about to expire. */
export type TokenReason = 'connect' | 'unauthorized' | 'expiring';

/** The part of a WebSocket that the client uses. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  // The events of a browser, of Node.js and of `ws` differ in their types.
  addEventListener(
    type: 'open' | 'message' | 'close' | 'error',
    // oxlint-disable-next-line typescript/no-explicit-any
    listener: (event: any) => void,
  ): void;
}

/** The class of `globalThis.WebSocket`, or of the package `ws`. */
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/** Options of `connect()`. Durations are in milliseconds. All numbers are from 0 to 2,147,483,647. */
export interface ClientOptions<C extends AnyContract = AnyContract> {
  /**
   * What goes over the connection, as `defineContract()` returns it: the types of messages, replies, items, questions and
   * topics come from it.
   */
  readonly contract?: C | undefined;
  /**
   * Returns the token of the user. It is called for every attempt to connect, after a 4401, and when the identity is
   * about to expire. It is sent as the last subprotocol, because browsers can send it nowhere else but in the query,
   * which proxies log; it may therefore contain letters, digits and ``!#$%&'*+-.^_`|~``, as a JWT does. `null` says
   * that there is no session: the client closes. What it throws is reported, and it is called again after a back-off.
   *
   * After a 4401 the client also closes when it gets the token that was refused: fetch a new one for the reason
   * `unauthorized`. Without this option, the identity comes from a cookie, and the client closes after a 4401.
   */
  readonly token?: ((reason: TokenReason) => string | null | Promise<string | null>) | undefined;
  /** Subprotocols that are offered before the token. Default with a token: `bearer`, because the server has to select one. */
  readonly protocols?: string | readonly string[] | undefined;
  /** Default: `globalThis.WebSocket`. Node.js has one from version 22 on; before, pass that of the package `ws`. */
  readonly WebSocket?: WebSocketClass | undefined;
  /** Longest first wait before a new attempt, doubled with every failure. Default: 500. */
  readonly firstDelayMs?: number | undefined;
  /** Longest wait before a new attempt, without the server's `retryAfterMs`. Default: 30,000. */
  readonly longestDelayMs?: number | undefined;
  /** A connection that has been open for so long counts as good: the waits begin anew. Default: 10,000. */
  readonly stableAfterMs?: number | undefined;
  /** Deadline for `token()` and the opening of the socket together. Default: 20,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** How long the server may take to answer a ping, which is sent when the page wakes. Default: 5,000. */
  readonly probeTimeoutMs?: number | undefined;
  /** Messages and requests that may wait for a connection. Default: 100. */
  readonly maxQueued?: number | undefined;
  /** Bytes of JSON that may wait for a connection. Default: 262,144. */
  readonly maxQueuedBytes?: number | undefined;
  /** Characters of JSON of one stream that may wait for the app. Default: 1,048,576. */
  readonly maxStreamBuffer?: number | undefined;
  /** Reactions to close codes of your own, or other ones to those of the library: `{ 4010: 'stop' }`. */
  readonly reactions?: Readonly<Record<number, Reaction>> | undefined;
}

/** Longest duration of a timer. */
const LONGEST_MS = 2 ** 31 - 1;
/** Characters of a subprotocol: RFC 6455, section 4.1. */
const PROTOCOL = /^[\w!#$%&'*+\-.^`|~]+$/;

/** The defaults of the options that are numbers. */
const DEFAULTS = {
  firstDelayMs: 500,
  longestDelayMs: 30_000,
  stableAfterMs: 10_000,
  connectTimeoutMs: 20_000,
  probeTimeoutMs: 5_000,
  maxQueued: 100,
  maxQueuedBytes: 262_144,
  maxStreamBuffer: 1_048_576,
};

export type Settings = typeof DEFAULTS &
  Pick<ClientOptions, 'token' | 'reactions'> & {
    readonly protocols: readonly string[];
    readonly WebSocket: WebSocketClass;
  };

/** @throws {TypeError | RangeError} that names the option */
export function resolveSettings(options: ClientOptions): Settings {
  const { protocols = options.token ? 'bearer' : [] } = options;
  const { WebSocket = (globalThis as { WebSocket?: WebSocketClass }).WebSocket } = options;
  if (!WebSocket) {
    throw new TypeError('There is no global WebSocket: pass that of ws, { WebSocket }.');
  }
  const offered = [protocols].flat();
  for (const name of offered) {
    if (!isProtocol(name)) throw new TypeError(`protocols: ${String(name)} is no subprotocol.`);
  }
  const settings = { ...options, ...DEFAULTS, protocols: offered, WebSocket };
  for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
    settings[name] = inBounds(name, options[name] ?? DEFAULTS[name]);
  }
  return settings;
}

/** @throws {RangeError} for a number that is out of its bounds */
export function inBounds(name: string, value: number): number {
  if (value >= 0 && value <= LONGEST_MS) return value;
  throw new RangeError(`${name} is a number from 0 to ${LONGEST_MS}, got ${value}.`);
}

export function isProtocol(name: unknown): name is string {
  return typeof name === 'string' && PROTOCOL.test(name);
}
