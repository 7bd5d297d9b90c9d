import {
  assertSendable,
  CloseCode,
  type CloseInitiator,
  type CloseReason,
  codeOfSocketError,
  fitReason,
  isSendableCode,
} from '../closing/close-codes.js';
import { afterSilence } from '../clock/silence.js';
import type { ClusterLease } from '../cluster/cluster-slots.js';
import { ConnectionCode, ConnectionStep } from '../context/connection-code.js';
import { runInContext, type UserExecutionContext } from '../context/user-execution-context.js';
import { afterwards, runBounded, type StepReport } from './bounded-run.js';
import type { CriticalMessage } from './critical-outbox.js';
import type { DeliveryResult } from './delivery-result.js';
import { endingFor } from './ending.js';
import { Link } from './linked-list.js';
import { type ManagedSocket, SOCKET_CLOSED, SOCKET_OPEN } from './managed-socket.js';
import type { ConnectionHooks, ManagerHost } from './manager-host.js';
import { type ManagerStats, readManagerStats } from './manager-stats.js';
import { ManagerClosedError } from './manager.errors.js';
import { OutboundChannel } from './outbound-channel.js';
import type { Slots } from './slots.js';
import { bindSocket, unbindSocket } from './socket-binding.js';

/** `connecting → ready → draining → closing → closed`; never backwards. */
export type ManagerState = 'connecting' | 'ready' | 'draining' | 'closing' | 'closed';

/** Runs once when the connection ends. */
export type Disposer = (reason: CloseReason) => unknown;

const GONE = Promise.resolve();

/**
 * Owns one connection and everything held for it. Inject it, or take it with `@CurrentManager()`.
 *
 * @example
 * ```ts
 * const subscription = bus.on(context.threadId, (event) => manager.send('event', event));
 * manager.onDispose(() => subscription.unsubscribe());
 * ```
 */
export class WebSocketManager extends OutboundChannel {
  /** @internal Place in one of the user's lists: what may be cleaned up, by activity, or what is pinned. */
  readonly userLink = new Link<WebSocketManager>(this);
  /** @internal Place in one of the process's lists: unattached, idle, pinned or closing. */
  readonly fleetLink = new Link<WebSocketManager>(this);
  /** @internal Place in the heartbeat's ring, or among those whose pong is awaited. */
  readonly ringLink = new Link<WebSocketManager>(this);
  /** @internal Which part of the ring is its own. */
  ringPart = 0;
  /** @internal Whose slot it holds, until that is given back. */
  slots: Slots<WebSocketManager> | undefined = undefined;
  /** @internal Its slot in the cluster, where there is one. */
  lease: ClusterLease | undefined = undefined;
  /** @internal What runs above: the gateway's side of the connection. */
  hooks: ConnectionHooks | undefined = undefined;
  /** @internal Monotonic milliseconds of the last traffic either way. */
  lastActivityAt: number;
  /** @internal Monotonic milliseconds of the last sign of life: a message or a pong. */
  lastSeenAt: number;
  /** @internal Monotonic milliseconds of the ping that waits for its pong; 0 when none does. */
  pingedAt = 0;
  /** Milliseconds the last answered ping took; `undefined` before the first. */
  roundTripMs: number | undefined = undefined;
  /** @internal Monotonic milliseconds. */
  readonly createdAt: number;
  /** @internal Monotonic milliseconds at which closing began; 0 before. */
  closingAt = 0;
  /** @internal Why and by whom closing began. */
  closeReason: CloseReason | undefined = undefined;
  /** @internal Where it was made, when `leaks.captureCreationSite` is on. */
  creationSite: string | undefined = undefined;
  /** @internal We stopped reading because handlers cannot keep up: pongs cannot be heard. */
  isReadingPaused = false;
  /** @internal Called when a probe is answered, or pointless because the connection ends. */
  probeAnswered: (() => void) | undefined = undefined;

  /** @internal */
  declare protected readonly host: ManagerHost<WebSocketManager>;
  #state: ManagerState = 'connecting';
  #socketGone: (() => void) | undefined = undefined;
  #cutting: (() => void) | undefined = undefined;
  // Made when first asked for: most connections need none of these.
  #controller: AbortController | undefined = undefined;
  #pins: Map<symbol, string> | undefined = undefined;
  #disposers: Disposer[] | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;
  #reportClosed: (() => void) | undefined = undefined;
  #gone: Promise<void> | undefined = undefined;

  /** @internal Managers are made by the factory. */
  constructor(
    /** Whose connection it is. */
    readonly context: UserExecutionContext,
    host: ManagerHost<WebSocketManager>,
  ) {
    super(host);
    const now = host.clock.now();
    this.createdAt = now;
    this.lastActivityAt = now;
    this.lastSeenAt = now;
  }

  /** Stable name of this manager, derived from the connection's id. */
  get managerId(): string {
    return `manager_${this.context.connectionId}`;
  }

  get state(): ManagerState {
    return this.#state;
  }

  /**
   * @internal Whether anything may still be done for the client: the connection is not closing, and neither is its socket,
   * whoever closes it and how (the app by `client.close()`, the client, the network).
   */
  get mayAct(): boolean {
    return this.isActive && this.attachedSocket?.readyState === SOCKET_OPEN;
  }

  /** Whether the connection still lives: neither closing nor closed. */
  override get isActive(): boolean {
    return this.#state !== 'closing' && this.#state !== 'closed';
  }

  /** @internal */
  protected override get isOpened(): boolean {
    return this.#state !== 'connecting';
  }

  /** The socket; `undefined` before it is attached and after it is gone. */
  get socket(): ManagedSocket | undefined {
    return this.attachedSocket;
  }

  /** Aborted when closing starts. Hand it to whatever should stop with the connection. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (!this.isActive) this.#controller.abort(this.closeReason);
    }
    return this.#controller.signal;
  }

  /** Whether work in progress keeps cleanup away. */
  get isPinned(): boolean {
    return this.#pins !== undefined && this.#pins.size > 0;
  }

  /** The labels of the work in progress. */
  get pins(): readonly string[] {
    return this.#pins ? [...this.#pins.values()] : [];
  }

  /** @internal Resolves when the socket of a closing manager is gone, which disposers may outlive. */
  get socketGone(): Promise<void> {
    return this.#gone ?? Promise.resolve();
  }

  /** How many disposers wait for the end of the connection. */
  get disposerCount(): number {
    return this.#disposers?.length ?? 0;
  }

  /**
   * Marks work in progress: cleanup keeps away until the pin is disposed.
   *
   * @example `using pin = manager.pin('report');`
   * @throws {ManagerClosedError} on a closed manager
   */
  pin(label: string): Disposable {
    if (!this.isActive) throw new ManagerClosedError('pin');
    const pins = (this.#pins ??= new Map<symbol, string>());
    const key = Symbol(label);
    pins.set(key, label);
    if (pins.size === 1) this.host.rearranged(this);
    const unpin = (): void => {
      if (pins.delete(key) && pins.size === 0) this.host.rearranged(this);
    };
    return { [Symbol.dispose]: unpin };
  }

  /**
   * Runs a function with the manager pinned while it runs.
   *
   * @throws {ManagerClosedError} on a closed manager; and whatever the function throws
   */
  async run<T>(label: string, fn: () => T | Promise<T>): Promise<T> {
    const pin = this.pin(label);
    try {
      return await fn();
    } finally {
      pin[Symbol.dispose]();
    }
  }

  /**
   * Registers something to run once when the connection ends: last registered, first run, each within
   * `cleanup.disposeTimeoutMs`.
   *
   * @returns takes the registration back
   * @throws {ManagerClosedError} once disposal has begun
   * @throws {TypeError} for anything but a function
   */
  onDispose(disposer: Disposer): () => void {
    if (typeof disposer !== 'function') {
      throw new TypeError(`Expected onDispose() to get a function, got ${typeof disposer}.`);
    }
    if (!this.isActive) throw new ManagerClosedError('onDispose');
    const disposers = (this.#disposers ??= []);
    disposers.push(disposer);
    return () => {
      const index = disposers.lastIndexOf(disposer);
      if (index !== -1) disposers.splice(index, 1);
    };
  }

  /**
   * Closes the connection. Resolves when everything that belonged to it is disposed. Where a handler, hook or disposer of
   * this very connection awaits it, it resolves when everything but that has ended.
   *
   * @param code 1000 by default; see the table of close codes
   * @param reason up to 123 bytes of UTF-8; what is longer is cut
   * @throws {RangeError} for a code that may not be sent
   */
  close(code: number = CloseCode.NORMAL, reason = ''): Promise<void> {
    assertSendable(code);
    return endingFor(this.beginClose(code, reason, 'server'));
  }

  /** The numbers of this connection. Reading them does not count as activity. */
  getStats(): ManagerStats {
    return readManagerStats(this, this.host.clock);
  }

  /** @internal Binds the socket; closing it from either side disposes this manager. */
  attach(socket: ManagedSocket): void {
    if (!this.isActive) throw new ManagerClosedError('attach');
    bindSocket(socket, this);
    this.attachedSocket = socket;
    this.counters.attached += 1;
    this.host.attached(this);
    this.host.rearranged(this);
    // It has closed while the slot was waited for, and will not say so again.
    if (socket.readyState === SOCKET_CLOSED) this.socketClosed(CloseCode.ABNORMAL, '');
  }

  /** @internal The connect hooks have run. */
  markReady(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'ready';
    this.flushCritical();
  }

  /** @internal The process is going away; the close frame follows. */
  markDraining(): void {
    if (this.#state === 'ready') this.#state = 'draining';
  }

  /** @internal A message came in: traffic, and a sign of life. */
  received(frame: Buffer): void {
    if (!this.mayAct) return this.hooks?.ignored(frame);
    const now = this.host.clock.now();
    this.lastSeenAt = now;
    this.lastActivityAt = now;
    this.host.touched(this);
    if (this.pingedAt !== 0) this.seen();
    this.hooks?.received(frame);
  }

  /** @internal A sign of life. */
  seen(): void {
    this.lastSeenAt = this.host.clock.now();
    if (this.pingedAt === 0) return;
    this.pingedAt = 0;
    this.host.answered(this);
    this.probeAnswered?.();
  }

  /** @internal Bytes move, although the ping is not answered yet: traffic, and reason enough to ask again later. */
  moved(): void {
    this.touch();
    this.pingedAt = 0;
    this.host.answered(this);
    this.probeAnswered?.();
  }

  /** @internal A pong. */
  ponged(): void {
    if (this.pingedAt !== 0) {
      this.roundTripMs = this.host.clock.now() - this.pingedAt;
      this.host.ponged(this, this.roundTripMs);
    }
    this.seen();
  }

  /**
   * @internal Asks for a sign of life, unless an earlier question is open. A socket that has closed without a word (its
   * listeners were removed) is found out here; one that is closing has as long as any other to come to an end.
   */
  ping(): void {
    const socket = this.attachedSocket;
    if (this.pingedAt !== 0 || !socket) return;
    if (socket.readyState === SOCKET_CLOSED) return this.socketClosed(CloseCode.ABNORMAL, '');
    this.pingedAt = this.host.clock.now();
    this.host.pinged(this);
    if (socket.readyState === SOCKET_OPEN) this.attempt(sendPing, socket);
  }

  /** @internal Does something with the socket. One that throws is broken: the app's own, or wrapped by somebody. */
  attempt<Socket>(act: (socket: Socket) => void, socket: Socket): void {
    try {
      act(socket);
    } catch (error) {
      this.socketFailed(error);
    }
  }

  /** @internal Traffic: not stale. */
  override touch(now: number = this.host.clock.now()): void {
    this.lastActivityAt = now;
    this.host.touched(this);
  }

  /** @internal Gives the slot back before disposal has ended. */
  giveUpSlot(): void {
    this.host.slotGivenUp(this);
  }

  /** @internal The socket is gone, whoever began. */
  socketClosed(code: number, reason: string): void {
    this.#socketGone?.();
    if (!this.isActive) return;
    this.#startClosing(code, reason, code === CloseCode.ABNORMAL ? 'network' : 'client', false);
  }

  /** @internal The peer broke the protocol, or the line is broken. `ws` has said goodbye by itself. */
  override socketFailed(error: unknown): void {
    this.fail(error);
    const code = codeOfSocketError(error);
    if (code !== CloseCode.ABNORMAL) void this.beginClose(code, 'protocol error', 'server');
    else void this.beginClose(code, '', 'network', { cut: true });
  }

  /** @internal The one way out. `cut` skips the close handshake of a peer that does not answer anyway. */
  override beginClose(
    code: number,
    reason: string,
    initiator: CloseInitiator,
    { cut = false } = {},
  ): Promise<void> {
    if (this.isActive) this.#startClosing(code, reason, initiator, cut);
    return this.closed();
  }

  /** @internal Resolves when everything that belonged to it is disposed. */
  closed(): Promise<void> {
    // Made when asked for: most connections are closed by their clients, and nobody waits for the end of it.
    if (this.#state === 'closed') return this.#closing ?? GONE;
    this.#closing ??= new Promise((resolve) => {
      this.#reportClosed = resolve;
    });
    return this.#closing;
  }

  #startClosing(code: number, reason: string, initiator: CloseInitiator, cut: boolean): void {
    const closeReason = Object.freeze({ code, reason: fitReason(reason), initiator });
    this.#state = 'closing';
    this.closingAt = this.host.clock.now();
    this.closeReason = closeReason;
    // Here and in everything that follows, code of this connection runs as this connection, whoever closes it: another
    // user's handler, a timer, the client.
    const end = new ConnectionCode(this.context);
    runInContext(end, () => this.#windUp(closeReason, cut), undefined);
  }

  #windUp(reason: CloseReason, cut: boolean): void {
    this.host.waiting.delete(this);
    this.host.closing(this, reason);
    this.hooks?.closing();
    this.probeAnswered?.();
    this.#controller?.abort(reason);
    this.#gone = this.#closeSocket(reason, cut);
    // A turn later even where the socket is gone already: nobody's disposers run inside their own call.
    void (this.#gone ?? GONE).then(() => this.#finish(reason));
  }

  /**
   * @internal Runs one step of the end, for at most `cleanup.disposeTimeoutMs`. Never throws: what went wrong is reported.
   * @param label names the step for the leak detector, where it is abandoned
   */
  runStep(label: string, step: () => unknown, report: StepReport): Promise<void> | undefined {
    const { clock, options } = this.host;
    const { disposeTimeoutMs } = options.cleanup;
    const run = new ConnectionStep(this.context);
    const enter = (): unknown => runInContext(run, step, undefined);
    const pending = runBounded(clock, disposeTimeoutMs, enter, (outcome, error, abandoned) => {
      if (abandoned) this.abandon(label, abandoned);
      report(outcome, error);
    });
    return pending && run.left(pending);
  }

  /** @internal Something of this connection is waited for no longer: the leak detector lists it until it ends. */
  abandon(label: string, pending: Promise<unknown>): void {
    this.host.abandoned(this, label, pending);
  }

  #finish(reason: CloseReason): void {
    this.host.socketGone(this);
    void afterwards(this.hooks?.disconnected(reason), () =>
      afterwards(this.#runDisposers(reason), () =>
        afterwards(this.hooks?.released(reason), () => this.#end(reason)),
      ),
    );
  }

  // Not a list that is walked through: a disposer may take another one back.
  #runDisposers(reason: CloseReason): Promise<void> | undefined {
    for (let dispose = this.#disposers?.pop(); dispose; dispose = this.#disposers?.pop()) {
      const disposer = dispose;
      const label = `onDispose ${disposer.name}`.trimEnd();
      const pending = this.runStep(label, () => disposer(reason), this.#reportDisposer);
      if (pending) return pending.then(() => this.#runDisposers(reason));
    }
    return undefined;
  }

  #end(reason: CloseReason): undefined {
    this.#letGo();
    this.host.disposed(this, reason);
    this.#reportClosed?.();
  }

  get #reportDisposer(): StepReport {
    return (outcome, error) => {
      this.fail(error instanceof Error ? error : `a disposer ${outcome}`);
      this.host.disposalFault(this, outcome, error);
    };
  }

  // Resolves when the socket is gone; nothing to wait for where it is already.
  #closeSocket({ code, reason }: CloseReason, cut: boolean): Promise<void> | undefined {
    const socket = this.attachedSocket;
    if (!socket || socket.readyState > SOCKET_OPEN + 1) return undefined;
    const { clock, options } = this.host;
    const { closeTimeoutMs } = options.cleanup;
    return new Promise<void>((resolve) => {
      let release = afterSilence(clock, closeTimeoutMs, () => this.cut());
      this.#socketGone = () => {
        release();
        resolve();
      };
      this.#cutting = () => {
        release();
        release = clock.after(closeTimeoutMs, () => this.#socketGone?.());
      };
      try {
        if (socket.readyState === SOCKET_OPEN && isSendableCode(code)) socket.close(code, reason);
      } catch (error) {
        this.fail(error);
        this.cut();
      }
      if (cut) this.cut();
    });
  }

  /**
   * @internal Cuts the line of a connection that is closing. The end goes on also where the socket cannot be cut, or does
   * not say that it is gone: one of the app's own, or wrapped by somebody.
   */
  cut(): void {
    this.#cutting?.();
    try {
      this.attachedSocket?.terminate();
    } catch (error) {
      this.fail(error);
      this.#socketGone?.();
    }
  }

  /** @internal */
  protected override recordCritical(frame: string): DeliveryResult | undefined {
    return this.host.recordCritical?.(this, frame);
  }

  /** @internal */
  protected override undelivered(messages: readonly CriticalMessage[]): void {
    this.host.undelivered(this, messages);
  }

  #letGo(): void {
    this.#state = 'closed';
    const left = this.closeOutbox();
    if (left.length > 0) this.undelivered(left);
    if (this.attachedSocket) unbindSocket(this.attachedSocket);
    this.attachedSocket = undefined;
    this.#socketGone = undefined;
    this.#cutting = undefined;
    this.#disposers = undefined;
    this.#pins = undefined;
    this.hooks = undefined;
  }
}

function sendPing(socket: ManagedSocket): void {
  socket.ping();
}
