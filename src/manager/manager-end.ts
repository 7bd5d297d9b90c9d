import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { afterwards } from '../structures/maybe-async.js';
import type { Clock } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import { type CloseReason, isSendableCode } from '../wire/close-codes.js';
import { type ManagedSocket, SOCKET_CLOSING, SOCKET_OPEN } from '../wire/managed-socket.js';
import type { ConnectionHooks } from './manager-owner.js';

const GONE = Promise.resolve();

/** What the end of a connection asks of its manager. */
export interface EndingManager {
  readonly context: UserExecutionContext;
  readonly hooks: ConnectionHooks | undefined;
  readonly socket: ManagedSocket | undefined;
  /** Closing has begun: takes the manager out of all that is for live ones. */
  closingBegan(reason: CloseReason): void;
  /** The socket is gone; the hooks, the disposers and the scope are next. */
  socketIsGone(): void;
  /** Runs the disposers, the last registered first. */
  runDisposers(reason: CloseReason): Promise<void> | undefined;
  /** Nothing of the connection is left. */
  ended(reason: CloseReason): void;
  /** Remembers what went wrong. */
  fail(error: unknown): unknown;
}

/** The end of one connection, step by step. Made when closing begins, so that a live connection carries nothing for it. */
export class ManagerEnd {
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
    /** How long the peer has for its close frame, and a socket that was cut to say that it is gone. */
    private readonly closeTimeoutMs: number,
    readonly reason: CloseReason,
  ) {
    this.startedAt = clock.now();
  }

  /** Resolves when the socket is gone, which disposers may outlive. */
  get socketGone(): Promise<void> {
    return this.#socketGone ?? GONE;
  }

  /** Resolves when everything that belonged to the connection is disposed. */
  over(): Promise<void> {
    // Made when asked for: most connections are closed by their clients, and nothing waits for the end of it.
    if (this.#isOver) return this.#over ?? GONE;
    this.#over ??= new Promise((resolve) => {
      this.#reportOver = resolve;
    });
    return this.#over;
  }

  /** Runs all steps. @param cut skips the close handshake, for a peer that does not answer anyway */
  begin(cut: boolean): void {
    // Here and in everything that follows, code of this connection runs as this connection, whatever closes it: the
    // handler of another user, a timer, the client.
    const code = new ConnectionCode(this.manager.context);
    runInContext(code, () => this.#begin(cut), undefined);
  }

  /** The socket has closed, whichever side began. */
  socketClosed(): void {
    this.#reportSocketGone?.();
  }

  /**
   * Cuts the line. The end goes on also where the socket cannot be cut, or does not say that it is gone: a socket of the
   * app's own class, or one in a wrapper.
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
    // A turn later even where the socket is gone already: disposers must not run inside the call that closes.
    void this.socketGone.then(() => this.#finish());
  }

  // Resolves when the socket is gone; `undefined` where it is gone already.
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
    const { manager, reason } = this;
    manager.socketIsGone();
    void afterwards(manager.hooks?.disconnected(reason), () =>
      afterwards(manager.runDisposers(reason), () =>
        afterwards(manager.hooks?.released(reason), () => this.#end()),
      ),
    );
  }

  #end(): undefined {
    this.#reportSocketGone = undefined;
    this.#rescheduleCut = undefined;
    this.#isOver = true;
    this.manager.ended(this.reason);
    this.#reportOver?.();
  }
}
