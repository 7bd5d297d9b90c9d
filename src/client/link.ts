import { type ClientError, failure } from './client.error.js';
import { PING_ID } from './message.js';
import type { Settings, WebSocketLike } from './options.js';
import { type Reaction, reactionTo, readReason } from './reactions.js';
import type { ClientState, StateChange } from './state.js';
import type { Tokens } from './tokens.js';

/** What a link tells of its connections. */
export interface LinkOwner {
  opened(): void;
  received(data: unknown): void;
  /** A connection has ended. @param isRefusal nothing that was sent over it has been handled */
  lost(isRefusal: boolean): void;
  /** There will be no other connection. */
  stopped(code: number, reason: string): void;
  changed(change: StateChange): void;
  failed(error: ClientError): void;
  /** Whether something waits for a connection. */
  readonly isNeeded: boolean;
  /** The position in the thread, where the server keeps a history. */
  readonly position: string | undefined;
}

type Timer = ReturnType<typeof setTimeout>;

const OPEN = 1;
/** The close code of an end that is no failure. */
export const NORMAL = 1000;
const ABNORMAL = 1006;
const UNAUTHORIZED = 4401;
/** Any frame that comes back proves that the line is alive; no handler is needed. */
const PING = `{"event":"ping","id":"${PING_ID}"}`;

/** One connection after another to the same server. Decides after each end whether and when there is a next one. */
export class Link {
  state: ClientState = 'connecting';
  #socket: WebSocketLike | undefined;
  /** Numbers the attempts: what an earlier one brings late is ignored. */
  #attempt = 0;
  #failures = 0;
  #openedAt: number | undefined;
  /** The server does not want an attempt before. */
  #notBefore = 0;
  /** Ends an attempt that takes too long, or begins the next one. */
  #timer: Timer | undefined;
  #probe: Timer | undefined;
  constructor(
    private readonly url: URL,
    private readonly settings: Settings,
    private readonly tokens: Tokens,
    private readonly owner: LinkOwner,
  ) {}

  /** Sends a frame. False without an open connection. */
  send(text: string): boolean {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(text);
    return true;
  }

  /** Begins an attempt. */
  connect(): void {
    this.#release();
    this.#change({ state: 'connecting' });
    if (this.state !== 'connecting') return;
    const { connectTimeoutMs } = this.settings;
    this.#timer = setTimeout(
      () => this.#lost(ABNORMAL, `no connection within ${connectTimeoutMs} ms`),
      connectTimeoutMs,
    );
    void this.#attemptWith(this.#attempt);
  }

  /** There is something to say: a client that waits for a reason connects. */
  need(): void {
    if (this.state === 'waiting' && this.#timer === undefined) this.connect();
  }

  /** The page, or the network, is back. Waiting any longer makes no sense, and an open connection may be dead. */
  wake(): void {
    if (this.state === 'open') this.probe();
    if (this.state !== 'waiting') return;
    const rest = Math.max(0, this.#notBefore - performance.now());
    this.#connectIn(rest + Math.random() * this.settings.firstDelayMs, {});
  }

  /** The page is put away. What holds a connection cannot be restored later. */
  suspend(): void {
    if (this.state === 'closed') return;
    this.#end(false);
    this.#change({ state: 'waiting', code: NORMAL, reason: 'the page is put away' });
  }

  /** Finds out whether the server is still there: a dead connection can look open for minutes. */
  probe(): void {
    if (this.#probe !== undefined || !this.send(PING)) return;
    const { probeTimeoutMs } = this.settings;
    this.#probe = setTimeout(
      () => this.#lost(ABNORMAL, `no answer within ${probeTimeoutMs} ms`),
      probeTimeoutMs,
    );
  }

  /** Ends it for good. */
  stop(code: number, reason: string): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.owner.stopped(code, reason);
    this.#end(false);
    this.#change({ state: 'closed', code, reason });
  }

  async #attemptWith(attempt: number): Promise<void> {
    const { tokens } = this;
    try {
      const token = tokens.areUsed ? await tokens.toConnect() : undefined;
      if (attempt !== this.#attempt) return;
      if (tokens.areUsed && token === undefined) {
        return this.stop(UNAUTHORIZED, 'there is no new token');
      }
      tokens.current = token;
    } catch (cause) {
      if (attempt === this.#attempt) this.#failed('TOKEN_FAILED', 'token() failed', cause);
      return;
    }
    try {
      this.#open();
    } catch (cause) {
      this.#failed('CONNECT_FAILED', 'new WebSocket() failed', cause);
    }
  }

  #failed(code: 'TOKEN_FAILED' | 'CONNECT_FAILED', what: string, cause: unknown): void {
    this.owner.failed(failure(code, what, cause));
    this.#lost(ABNORMAL, what);
  }

  #open(): void {
    const { WebSocket, protocols } = this.settings;
    const { current } = this.tokens;
    const offered = current === undefined ? protocols : [...protocols, current];
    const url = new URL(this.url);
    // The server sends what was missed since.
    if (this.owner.position !== undefined) url.searchParams.set('resume', this.owner.position);
    const socket = new WebSocket(url.href, [...offered]);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    const when: WebSocketLike['addEventListener'] = (type, listener) =>
      socket.addEventListener(type, (event) => {
        if (socket === this.#socket) listener(event);
      });
    when('open', () => this.#opened());
    when('message', ({ data }) => this.#received(data));
    // A close event follows an error. Outside of browsers the error says why: "Unexpected server response: 404".
    let why = '';
    socket.addEventListener('error', ({ message = '' }) => (why = message));
    when('close', ({ code, reason }) => this.#lost(code, reason || why));
  }

  #opened(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#openedAt = performance.now();
    this.state = 'open';
    // What waits goes before what listeners of the state send.
    this.owner.opened();
    if (this.state === 'open') this.#change({ state: 'open' });
  }

  #received(data: unknown): void {
    clearTimeout(this.#probe);
    this.#probe = undefined;
    this.tokens.accepted();
    this.owner.received(data);
  }

  #lost(code: number, reason: string): void {
    const { retryAfterMs, isRefusal } = readReason(code, reason);
    // Not good when it opens: a server that refuses with a close code opens first.
    const openFor = performance.now() - (this.#openedAt ?? Infinity);
    if (openFor >= this.settings.stableAfterMs) this.#failures = 0;
    this.#notBefore = performance.now() + retryAfterMs;
    this.#end(isRefusal);
    if (this.state === 'closed') return;
    const reaction = this.#reactionTo(code);
    const end = { code, reason };
    if (reaction === 'stop') return this.stop(code, reason);
    if (reaction === 'sign in') this.tokens.refused();
    if (reaction === 'when needed' && !this.owner.isNeeded) {
      return this.#change({ state: 'waiting', ...end });
    }
    this.#connectIn(this.#waitAfter(retryAfterMs, reaction === 'back off' ? 1 : 0), end);
  }

  #reactionTo(code: number): Reaction {
    const reaction = this.settings.reactions?.[code] ?? reactionTo(code);
    return reaction === 'sign in' && !this.tokens.areUsed ? 'stop' : reaction;
  }

  // The server draws its times at random, one turn for each client. A client that came later would leave its turn unused.
  #waitAfter(retryAfterMs: number, more: number): number {
    const { firstDelayMs } = this.settings;
    const [told, own] = [retryAfterMs + Math.random() * firstDelayMs, this.#jitter(more)];
    if (retryAfterMs === 0) return own;
    return retryAfterMs < firstDelayMs ? Math.max(told, own) : told;
  }

  // Any time up to a bound that doubles: after the same event, no two clients come back together.
  #jitter(more: number): number {
    const { firstDelayMs, longestDelayMs } = this.settings;
    const bound = Math.min(longestDelayMs, firstDelayMs * 2 ** (this.#failures + more));
    this.#failures += 1;
    return Math.random() * bound;
  }

  #connectIn(retryInMs: number, end: { code?: number; reason?: string }): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.connect(), retryInMs);
    this.#change({ state: 'waiting', ...end, retryInMs });
  }

  // The end of an attempt, or of a connection.
  #end(isRefusal: boolean): void {
    const socket = this.#socket;
    this.#release();
    this.#openedAt = undefined;
    socket?.close(NORMAL);
    this.owner.lost(isRefusal);
  }

  #release(): void {
    this.#attempt += 1;
    this.#socket = undefined;
    clearTimeout(this.#timer);
    clearTimeout(this.#probe);
    this.#timer = this.#probe = undefined;
  }

  #change(change: StateChange): void {
    this.state = change.state;
    this.owner.changed(change);
  }
}
