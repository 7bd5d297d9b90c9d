import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { inTurn } from '../structures/maybe-async.js';
import type { Clock } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import { type CloseReason, isSendableCode } from '../wire/close-codes.js';
import { type ManagedSocket, SOCKET_CLOSING, SOCKET_OPEN } from '../wire/managed-socket.js';
import type { ConnectionHooks } from './manager-owner.js';

const GONE = Promise.resolve();

/** The part of a manager that its end uses. */
export interface EndingManager {
  readonly context: UserExecutionContext;
  readonly hooks: ConnectionHooks | undefined;
  readonly socket: ManagedSocket | undefined;
  /** Closing has begun: removes the manager from the places of active connections. */
  closingBegan(reason: CloseReason): void;
  /** The socket has closed; the hooks, the disposers and the scope are next. */
  socketIsGone(): void;
  /** Runs the disposers, the last registered first. */
  runDisposers(reason: CloseReason): Promise<void> | undefined;
  /** All steps have ended. */
  ended(reason: CloseReason): void;
  /** Records an error for the statistics. */
  fail(error: unknown): unknown;
}

/**
 * The end of one connection, step by step. Created when closing begins, so that an active connection needs no memory
 * for it.
 */
export class ManagerEnd {
  /** The steps after the socket has closed. Each may return a promise, which must not reject. */
  static readonly #steps: readonly ((end: ManagerEnd) => Promise<void> | undefined)[] = [
    ({ manager, reason }) => manager.hooks?.disconnected(reason),
    ({ manager, reason }) => manager.runDisposers(reason),
    ({ manager, reason }) => manager.hooks?.released(reason),
    (end) => end.#end(),
  ];

  /** Monotonic milliseconds. */
  readonly startedAt: number;
  #socketGone: Promise<void> | undefined = undefined;
  #reportSocketGone: (() => void) | undefined = undefined;
  #rescheduleCut: (() => void) | undefined = undefined;
  #isOver = false;
  #over: Promise<void> | undefined = undefined;
  #reportOver: (() => void) | undefined = undefined;

  constructor(
    private readonly manager: EndingManager,
    private readonly clock: Clock,
    /** Milliseconds that the peer has to send its close frame, and a terminated socket to emit `close`. */
    private readonly closeTimeoutMs: number,
    readonly reason: CloseReason,
  ) {
    this.startedAt = clock.now();
  }

  /** Resolves when the socket has closed. Disposers may take longer. */
  get socketGone(): Promise<void> {
    return this.#socketGone ?? GONE;
  }

  /** Resolves when everything that belonged to the connection is disposed. */
  over(): Promise<void> {
    // Created on first use: most connections are closed by their clients, and no code awaits the end.
    if (this.#isOver) return this.#over ?? GONE;
    this.#over ??= new Promise((resolve) => {
      this.#reportOver = resolve;
    });
    return this.#over;
  }

  /** Runs all steps. @param cut skips the close handshake, for a peer that does not respond */
  begin(cut: boolean): void {
    // All steps run in the context of this connection, whatever closes it: a handler of another user, a timer, the
    // client.
    const code = new ConnectionCode(this.manager.context);
    runInContext(code, () => this.#begin(cut), undefined);
  }

  /** The socket has closed, whichever side closed it. */
  socketClosed(): void {
    this.#reportSocketGone?.();
  }

  /**
   * Terminates the socket. The end goes on even when `terminate()` throws or `close` is never emitted, for example by a
   * socket of the app's own class or in a wrapper.
   */
  cut(): void {
    this.#rescheduleCut?.();
    try {
      this.manager.socket?.terminate();
    } catch (error) {
      this.manager.fail(error);
      this.#reportSocketGone?.();
    }
  }

  #begin(cut: boolean): void {
    this.manager.closingBegan(this.reason);
    this.#socketGone = this.#closeSocket(cut);
    // A turn later even when the socket has closed already: disposers must not run inside the call that closes.
    void this.socketGone.then(() => this.#finish());
  }

  // Resolves when the socket has closed; `undefined` when it has closed already.
  #closeSocket(cut: boolean): Promise<void> | undefined {
    const { socket } = this.manager;
    if (!socket || socket.readyState > SOCKET_CLOSING) return undefined;
    return new Promise<void>((resolve) => {
      let release = afterSilence(this.clock, this.closeTimeoutMs, () => this.cut());
      this.#reportSocketGone = () => {
        release();
        resolve();
      };
      this.#rescheduleCut = () => {
        release();
        release = this.clock.after(this.closeTimeoutMs, () => this.#reportSocketGone?.());
      };
      this.#sayGoodbye(socket);
      if (cut) this.cut();
    });
  }

  #sayGoodbye(socket: ManagedSocket): void {
    const { code, reason } = this.reason;
    if (socket.readyState !== SOCKET_OPEN || !isSendableCode(code)) return;
    try {
      socket.close(code, reason);
    } catch (error) {
      this.manager.fail(error);
      this.cut();
    }
  }

  #finish(): void {
    this.manager.socketIsGone();
    void inTurn(ManagerEnd.#steps.length, (index) => ManagerEnd.#steps[index]!(this));
  }

  #end(): undefined {
    this.#reportSocketGone = undefined;
    this.#rescheduleCut = undefined;
    this.#isOver = true;
    this.manager.ended(this.reason);
    this.#reportOver?.();
  }
}
