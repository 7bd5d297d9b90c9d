import type { AnyContract } from '../contract/contract.js';
import type { NoContract } from '../contract/message-types.js';
import type { StepReport } from '../time/bounded-run.js';
import { assertSendable, CloseCode, fitReason } from '../wire/close-codes.js';
import type { CloseInitiator, CloseReason } from '../wire/close-codes.js';
import { type ManagedSocket, SOCKET_CLOSED } from '../wire/managed-socket.js';
import { assertDisposer, type Disposer, Disposers } from './disposers.js';
import { endingFor } from './ending.js';
import { IdentifiedManager } from './identified-manager.js';
import { ManagerEnd } from './manager-end.js';
import { type ManagerStats, readManagerStats } from './manager-stats.js';
import { ManagerClosedError } from './manager.errors.js';
import { Pins } from './pins.js';
import { bindSocket, unbindSocket } from './socket-binding.js';

/** `connecting → ready → draining → closing → closed`; never backwards. */
export type ManagerState = 'connecting' | 'ready' | 'draining' | 'closing' | 'closed';

/**
 * Owns one connection and all resources of it. Inject it, or take it with `@CurrentManager()`.
 *
 * @example
 * ```ts
 * const subscription = bus.on(context.threadId, (event) => manager.send('event', event));
 * manager.onDispose(() => subscription.unsubscribe());
 * ```
 */
export class WebSocketManager<C extends AnyContract = NoContract> extends IdentifiedManager<C> {
  #state: ManagerState = 'connecting';
  // Created on first use: an idle connection has none of these four.
  #controller: AbortController | undefined = undefined;
  #pins: Pins | undefined = undefined;
  #disposers: Disposers | undefined = undefined;
  #end: ManagerEnd | undefined = undefined;

  /** Stable name of this manager, derived from the connection's id. */
  get managerId(): string {
    return `manager_${this.context.connectionId}`;
  }

  /** Where the connection is in its life. `ready`: guards and `handleConnection` have ended. */
  get state(): ManagerState {
    return this.#state;
  }

  /** Whether the connection is neither closing nor closed. */
  override get isActive(): boolean {
    return this.#state !== 'closing' && this.#state !== 'closed';
  }

  /** @internal */
  protected override get isOpened(): boolean {
    return this.#state !== 'connecting';
  }

  /** The socket; `undefined` before it is attached and after the manager is disposed. */
  get socket(): ManagedSocket | undefined {
    return this.attachedSocket;
  }

  /** Aborted when closing starts. Pass it to work that should stop with the connection. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (!this.isActive) this.#controller.abort(this.closeReason);
    }
    return this.#controller.signal;
  }

  /** Whether work in progress protects the connection from cleanup. */
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

  /** @internal The code, reason and initiator with which closing began. */
  get closeReason(): CloseReason | undefined {
    return this.#end?.reason;
  }

  /** @internal Resolves when the socket of a closing manager has closed. Disposers may take longer. */
  get socketGone(): Promise<void> {
    return this.#end?.socketGone ?? Promise.resolve();
  }

  /** Number of registered disposers that have not run. */
  get disposerCount(): number {
    return this.#disposers?.size ?? 0;
  }

  /**
   * Marks work in progress: cleanup does not close the connection until the pin is disposed.
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
   * @throws {ManagerClosedError} on a closed manager; and what the function throws
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
   * Registers a function that runs once when the connection ends. The last registered runs first; each has
   * `cleanup.disposeTimeoutMs`.
   *
   * @returns a function that removes the registration
   * @throws {ManagerClosedError} once closing has begun
   * @throws {TypeError} for a value that is not a function
   */
  onDispose(disposer: Disposer): () => void {
    assertDisposer(disposer);
    if (!this.isActive) throw new ManagerClosedError('onDispose');
    return (this.#disposers ??= new Disposers()).add(disposer);
  }

  /**
   * Closes the connection. Resolves when all of its resources are disposed. For a handler, hook or disposer of this
   * connection that awaits it, it resolves when everything except that code has ended.
   *
   * @param code 1000 by default; see the table of close codes
   * @param reason up to 123 bytes of UTF-8; a longer text is cut
   * @throws {RangeError} for a code that may not be sent
   */
  close(code: number = CloseCode.NORMAL, reason = ''): Promise<void> {
    assertSendable(code);
    return endingFor(this.beginClose(code, reason, 'server'));
  }

  /** The statistics of this connection. Reading them does not count as activity. */
  getStats(): ManagerStats {
    return readManagerStats(this, this.owner.clock);
  }

  /** @internal Binds the socket; closing it from either side disposes this manager. */
  attach(socket: ManagedSocket): void {
    if (!this.isActive) throw new ManagerClosedError('attach');
    bindSocket(socket, this);
    this.attachedSocket = socket;
    this.attachedTimes += 1;
    this.owner.attached(this);
    this.owner.rearranged(this);
    // The socket closed while the arrival waited for its slot, and will not emit `close` again.
    if (socket.readyState === SOCKET_CLOSED) this.socketClosed(CloseCode.ABNORMAL, '');
  }

  /** @internal The connect hooks have run. */
  markReady(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'ready';
    this.flushCritical();
  }

  /** @internal The process is shutting down; the close frame follows. */
  markDraining(): void {
    if (this.#state === 'ready') this.#state = 'draining';
  }

  /** @internal The socket has closed, whichever side closed it. */
  override socketClosed(code: number, reason: string): void {
    this.#end?.socketClosed();
    if (!this.isActive) return;
    const initiator = code === CloseCode.ABNORMAL ? 'network' : 'client';
    this.startClosing({ code, reason: fitReason(reason), initiator }, false);
  }

  /** @internal The only way to close a connection. `cut`: without a close handshake, for a dead peer. */
  override beginClose(
    code: number,
    reason: string,
    initiator: CloseInitiator,
    { cut = false } = {},
  ): Promise<void> {
    if (this.isActive) this.startClosing({ code, reason: fitReason(reason), initiator }, cut);
    return this.closed();
  }

  /** @internal Resolves when all resources of a closing manager are disposed. */
  closed(): Promise<void> {
    return this.#end?.over() ?? Promise.reject(new Error('This manager is not closing.'));
  }

  /** @internal */
  private startClosing(reason: CloseReason, cut: boolean): void {
    const { clock, options } = this.owner;
    this.#state = 'closing';
    this.#end = new ManagerEnd(this, clock, options.cleanup.closeTimeoutMs, Object.freeze(reason));
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

  /** @internal Terminates the socket of a closing connection. */
  cut(): void {
    if (this.#end) this.#end.cut();
    else if (this.attachedSocket) this.attempt((socket) => socket.terminate(), this.attachedSocket);
  }
}
