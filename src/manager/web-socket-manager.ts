import type { StepReport } from '../time/bounded-run.js';
import {
  assertSendable,
  CloseCode,
  type CloseInitiator,
  type CloseReason,
  fitReason,
} from '../wire/close-codes.js';
import { type ManagedSocket, SOCKET_CLOSED } from '../wire/managed-socket.js';
import { type Disposer, Disposers } from './disposers.js';
import { endingFor } from './ending.js';
import { ManagerEnd } from './manager-end.js';
import { type ManagerStats, readManagerStats } from './manager-stats.js';
import { ManagerClosedError } from './manager.errors.js';
import { OutboundChannel } from './outbound-channel.js';
import { Pins } from './pins.js';
import { bindSocket, unbindSocket } from './socket-binding.js';

/** `connecting → ready → draining → closing → closed`; never backwards. */
export type ManagerState = 'connecting' | 'ready' | 'draining' | 'closing' | 'closed';

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
  #state: ManagerState = 'connecting';
  // Made when first needed: an idle connection has none of these.
  #controller: AbortController | undefined = undefined;
  #pins: Pins | undefined = undefined;
  #disposers: Disposers | undefined = undefined;
  #end: ManagerEnd | undefined = undefined;

  /** Stable name of this manager, derived from the connection's id. */
  get managerId(): string {
    return `manager_${this.context.connectionId}`;
  }

  get state(): ManagerState {
    return this.#state;
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
    return this.#pins?.labels ?? [];
  }

  /** @internal Monotonic milliseconds at which closing began; 0 before. */
  get closingAt(): number {
    return this.#end?.startedAt ?? 0;
  }

  /** @internal Why and by whom closing began. */
  get closeReason(): CloseReason | undefined {
    return this.#end?.reason;
  }

  /** @internal Resolves when the socket of a closing manager is gone, which disposers may outlive. */
  get socketGone(): Promise<void> {
    return this.#end?.socketGone ?? Promise.resolve();
  }

  /** How many disposers wait for the end of the connection. */
  get disposerCount(): number {
    return this.#disposers?.size ?? 0;
  }

  /**
   * Marks work in progress: cleanup keeps away until the pin is disposed.
   *
   * @example `using pin = manager.pin('report');`
   * @throws {ManagerClosedError} on a closed manager
   */
  pin(label: string): Disposable {
    if (!this.isActive) throw new ManagerClosedError('pin');
    this.#pins ??= new Pins(() => this.owner.rearranged(this));
    return this.#pins.add(label);
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
    if (!this.isActive) throw new ManagerClosedError('onDispose');
    return (this.#disposers ??= new Disposers()).add(disposer);
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
    return readManagerStats(this, this.owner.clock);
  }

  /** @internal Binds the socket; closing it from either side disposes this manager. */
  attach(socket: ManagedSocket): void {
    if (!this.isActive) throw new ManagerClosedError('attach');
    bindSocket(socket, this);
    this.attachedSocket = socket;
    this.counters.attached += 1;
    this.owner.attached(this);
    this.owner.rearranged(this);
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

  /** @internal The socket has closed, whichever side began. */
  override socketClosed(code: number, reason: string): void {
    this.#end?.socketClosed();
    if (!this.isActive) return;
    this.#startClosing(code, reason, code === CloseCode.ABNORMAL ? 'network' : 'client', false);
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

  /** @internal Resolves when everything that belonged to a closing manager is disposed. */
  closed(): Promise<void> {
    return this.#end?.over() ?? Promise.reject(new Error('This manager is not closing.'));
  }

  #startClosing(code: number, reason: string, initiator: CloseInitiator, cut: boolean): void {
    const closeReason = Object.freeze({ code, reason: fitReason(reason), initiator });
    const { clock, options } = this.owner;
    this.#state = 'closing';
    this.#end = new ManagerEnd(this, clock, options.cleanup.closeTimeoutMs, closeReason);
    this.#end.begin(cut);
  }

  /** @internal */
  closingBegan(reason: CloseReason): void {
    this.owner.waiting.delete(this);
    this.owner.closing(this, reason);
    this.hooks?.closing();
    this.probeAnswered?.();
    this.#controller?.abort(reason);
  }

  /** @internal */
  runDisposers(reason: CloseReason): Promise<void> | undefined {
    const report: StepReport = (outcome, error) => {
      this.fail(error instanceof Error ? error : `a disposer ${outcome}`);
      this.owner.disposalFault(this, outcome, error);
    };
    return this.#disposers?.run(reason, (label, dispose) => this.runStep(label, dispose, report));
  }

  /** @internal */
  ended(reason: CloseReason): void {
    this.#state = 'closed';
    this.closeOutbox();
    if (this.attachedSocket) unbindSocket(this.attachedSocket);
    this.attachedSocket = undefined;
    this.#disposers = undefined;
    this.#pins = undefined;
    this.hooks = undefined;
    this.owner.disposed(this, reason);
  }

  /** @internal Cuts the line of a connection that is closing. */
  cut(): void {
    this.#end?.cut();
  }
}
