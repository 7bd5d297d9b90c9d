import type { ClusterLease } from '../cluster/cluster-slots.js';
import { ConnectionStep } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { errorText } from '../errors/error-text.js';
import { Link } from '../structures/linked-list.js';
import { runBounded, type StepReport } from '../time/bounded-run.js';
import { CloseCode, type CloseInitiator, codeOfSocketError } from '../wire/close-codes.js';
import { type ManagedSocket, SOCKET_CLOSED, SOCKET_OPEN } from '../wire/managed-socket.js';
import type { ConnectionHooks, ManagerOwner } from './manager-owner.js';
import type { Slots } from './slots.js';

/**
 * The state that the registry, cleanup and the heartbeat keep for a connection: its places in their lists, its slot,
 * its last signs of life. The base class of a manager.
 */
export abstract class ManagerRecord {
  /** @internal Place in one of the user's lists: unpinned managers by activity, or pinned ones. */
  readonly userLink: Link<this> = new Link(this);
  /** @internal Place in one of the process's lists: unattached, idle, pinned or closing. */
  readonly fleetLink: Link<this> = new Link(this);
  /** @internal Its place in the heartbeat's ring; -1 while it has none. */
  ringPlace = -1;
  /** @internal The user's slots, of which this manager holds one; `undefined` after it is released. */
  slots: Slots<this> | undefined = undefined;
  /** @internal Its lease in the cluster, where there is one. */
  lease: ClusterLease | undefined = undefined;
  /** @internal The gateway's side of the connection: see {@link useHooks}. */
  hooks: ConnectionHooks | undefined = undefined;
  /** @internal Monotonic milliseconds. */
  readonly createdAt: number;
  /** @internal Monotonic milliseconds of the last traffic in either direction. */
  lastActivityAt: number;
  /** @internal Monotonic milliseconds of the last sign of life: a message or a pong. */
  lastSeenAt: number;
  /** @internal Monotonic milliseconds at which the unanswered ping was sent; 0 when there is none. */
  pingedAt = 0;
  /** Round trip of the last answered ping in milliseconds; `undefined` before the first. */
  roundTripMs: number | undefined = undefined;
  /** @internal Reading is paused because handlers cannot keep up (back-pressure), so pongs are not received. */
  isReadingPaused = false;
  /** @internal Called when a probe is answered, or when the connection ends and makes it pointless. */
  probeAnswered: (() => void) | undefined = undefined;
  /** @internal Sockets that were attached: 0 or 1. */
  attachedTimes = 0;
  /** @internal Messages that were sent. */
  sentMessages = 0;
  // Made for the first of them: few connections ever have any.
  #failures: { messages: number; errors: number; lastError: string | undefined } | undefined =
    undefined;
  /** @internal Where `ws` collects the messages of the socket. */
  pieces: unknown[] | undefined = undefined;
  /** @internal The socket, while there is one. */
  protected attachedSocket: ManagedSocket | undefined = undefined;

  /** @internal */
  constructor(
    /** The user, the thread and the ids of the connection. */
    readonly context: UserExecutionContext,
    /** @internal */
    protected readonly owner: ManagerOwner,
  ) {
    const now = wholeMs(owner.clock.now());
    this.createdAt = now;
    this.lastActivityAt = now;
    this.lastSeenAt = now;
  }

  /** Whether the connection is neither closing nor closed. */
  abstract get isActive(): boolean;

  /** @internal The only way to close a connection. */
  abstract beginClose(
    code: number,
    reason: string,
    initiator: CloseInitiator,
    how?: { readonly cut?: boolean },
  ): Promise<void>;

  /** @internal The socket has closed. */
  abstract socketClosed(code: number, reason: string): void;

  /**
   * @internal Whether messages may still be handled and sent: neither the connection nor its socket is closing,
   * whichever side closes it (the app by `client.close()`, the client, the network).
   */
  get mayAct(): boolean {
    return this.isActive && this.attachedSocket?.readyState === SOCKET_OPEN;
  }

  /** @internal Sets the gateway's hooks: first those of a scope without a socket, later those of the connection. */
  useHooks(hooks: ConnectionHooks): void {
    this.hooks = hooks;
  }

  /** @internal A message arrived: traffic, and a sign of life. */
  received(frame: Buffer, isBinary: boolean): void {
    if (!this.mayAct) return this.hooks?.ignored(frame);
    const now = wholeMs(this.owner.clock.now());
    this.lastSeenAt = now;
    this.lastActivityAt = now;
    this.owner.touched(this);
    if (this.pingedAt !== 0) this.seen();
    this.hooks?.received(frame, isBinary);
  }

  /** @internal Records traffic: the connection is not stale. @param now monotonic milliseconds */
  touch(now: number = this.owner.clock.now()): void {
    this.lastActivityAt = wholeMs(now);
    this.owner.touched(this);
  }

  /** @internal Records a sign of life. */
  seen(): void {
    this.lastSeenAt = wholeMs(this.owner.clock.now());
    if (this.pingedAt !== 0) this.pingAnswered();
  }

  /** @internal Bytes have moved although the ping is unanswered: counts as traffic, and the ping is repeated later. */
  moved(): void {
    this.touch();
    this.pingAnswered();
  }

  /** @internal A pong arrived. */
  ponged(): void {
    if (this.pingedAt !== 0) {
      this.roundTripMs = this.owner.clock.now() - this.pingedAt;
      this.owner.ponged(this, this.roundTripMs);
    }
    this.seen();
  }

  /**
   * @internal Sends a ping, unless an earlier one is unanswered. A socket that has closed without a `close` event (its
   * listeners were removed) is detected here; a socket that is closing has the same deadline as any other.
   */
  ping(): void {
    const socket = this.attachedSocket;
    if (this.pingedAt !== 0 || !socket) return;
    if (socket.readyState === SOCKET_CLOSED) return this.socketClosed(CloseCode.ABNORMAL, '');
    this.pingedAt = this.owner.clock.now();
    this.owner.pinged(this);
    if (socket.readyState === SOCKET_OPEN) this.attempt(sendPing, socket);
  }

  /** @internal The peer violated the protocol, or the connection broke. `ws` has sent the close frame itself. */
  socketFailed(error: unknown): void {
    this.fail(error);
    const code = codeOfSocketError(error);
    if (code !== CloseCode.ABNORMAL) void this.beginClose(code, 'protocol error', 'server');
    else void this.beginClose(code, '', 'network', { cut: true });
  }

  /**
   * @internal Runs an operation on the socket. A socket that throws counts as broken: one of the app's own class, or in
   * a wrapper.
   */
  attempt<Socket>(act: (socket: Socket) => void, socket: Socket): void {
    try {
      act(socket);
    } catch (error) {
      this.socketFailed(error);
    }
  }

  /** @internal Releases the slot before disposal has ended. */
  giveUpSlot(): void {
    this.owner.slotGivenUp(this);
  }

  /** @internal The socket of a closing manager has closed. */
  socketIsGone(): void {
    this.owner.socketGone(this);
  }

  /**
   * @internal Runs one step of the end, for at most `cleanup.disposeTimeoutMs`. Never throws: failures go to `report`.
   * @param label names the step for the leak detector, where it is abandoned
   */
  runStep(label: string, step: () => unknown, report: StepReport): Promise<void> | undefined {
    const { clock, options } = this.owner;
    const { disposeTimeoutMs } = options.cleanup;
    const run = new ConnectionStep(this.context);
    const enter = (): unknown => runInContext(run, step, undefined);
    const pending = runBounded(clock, disposeTimeoutMs, enter, (outcome, error, abandoned) => {
      if (abandoned) this.abandon(label, abandoned);
      report(outcome, error);
    });
    return pending && run.left(pending);
  }

  /** @internal Stops waiting for work of this connection: the leak detector lists it until it ends. */
  abandon(label: string, pending: Promise<unknown>): void {
    this.owner.abandoned(this, label, pending);
  }

  /** @internal Records an error for the statistics, and returns it. */
  fail<E>(error: E): E {
    const failures = this.failures();
    failures.errors += 1;
    failures.lastError = errorText(error);
    return error;
  }

  /** @internal Records that a message could not be sent. */
  protected messageFailed(): void {
    this.failures().messages += 1;
  }

  private failures(): { messages: number; errors: number; lastError: string | undefined } {
    return (this.#failures ??= { messages: 0, errors: 0, lastError: undefined });
  }

  /** @internal Messages that could not be sent. */
  get failedMessages(): number {
    return this.#failures?.messages ?? 0;
  }

  /** @internal Errors of hooks, handlers and disposers, and of the socket. */
  get errors(): number {
    return this.#failures?.errors ?? 0;
  }

  /** @internal Text of the last error, for the statistics. */
  get lastError(): string | undefined {
    return this.#failures?.lastError;
  }

  /** @internal */
  private pingAnswered(): void {
    this.pingedAt = 0;
    this.owner.answered(this);
    this.probeAnswered?.();
  }
}

/** Whole milliseconds: V8 keeps a number with a fraction in an object of its own, 16 bytes for each field. */
export function wholeMs(ms: number): number {
  return Math.floor(ms);
}

function sendPing(socket: ManagedSocket): void {
  socket.ping();
}
