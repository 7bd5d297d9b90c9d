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
 * What the registry, cleanup and the heartbeat keep about a connection: its places in their lists, its slot, its last
 * signs of life. The lowest part of a manager.
 */
export abstract class ManagerRecord {
  /** @internal Place in one of the user's lists: what may be cleaned up, by activity, or what is pinned. */
  readonly userLink: Link<this> = new Link(this);
  /** @internal Place in one of the process's lists: unattached, idle, pinned or closing. */
  readonly fleetLink: Link<this> = new Link(this);
  /** @internal Place in the heartbeat's ring, or among those whose pong is awaited. */
  readonly ringLink: Link<this> = new Link(this);
  /** @internal Which part of the ring is its own. */
  ringPart = 0;
  /** @internal The user's slots, one of which it holds, until that is given back. */
  slots: Slots<this> | undefined = undefined;
  /** @internal Its slot in the cluster, where there is one. */
  lease: ClusterLease | undefined = undefined;
  /** @internal The gateway's side of the connection: see {@link useHooks}. */
  hooks: ConnectionHooks | undefined = undefined;
  /** @internal Monotonic milliseconds. */
  readonly createdAt: number;
  /** @internal Monotonic milliseconds of the last traffic either way. */
  lastActivityAt: number;
  /** @internal Monotonic milliseconds of the last sign of life: a message or a pong. */
  lastSeenAt: number;
  /** @internal Monotonic milliseconds of the ping that waits for its pong; 0 when none does. */
  pingedAt = 0;
  /** Milliseconds the last answered ping took; `undefined` before the first. */
  roundTripMs: number | undefined = undefined;
  /** @internal Where it was made, when `leaks.captureCreationSite` is on. */
  creationSite: string | undefined = undefined;
  /** @internal Reading is paused because handlers cannot keep up: pongs cannot be heard. */
  isReadingPaused = false;
  /** @internal Called when a probe is answered, or pointless because the connection ends. */
  probeAnswered: (() => void) | undefined = undefined;
  /** @internal Counts of this connection's own events. */
  readonly counters = { sent: 0, failed: 0, attached: 0, errors: 0 };
  /** @internal The last thing that went wrong, for the stats. */
  lastError: string | undefined = undefined;
  /** @internal The socket, while there is one. */
  protected attachedSocket: ManagedSocket | undefined = undefined;

  /** @internal */
  constructor(
    /** Whose connection it is. */
    readonly context: UserExecutionContext,
    /** @internal */
    protected readonly owner: ManagerOwner,
  ) {
    const now = owner.clock.now();
    this.createdAt = now;
    this.lastActivityAt = now;
    this.lastSeenAt = now;
  }

  /** Whether the connection still lives: neither closing nor closed. */
  abstract get isActive(): boolean;

  /** @internal The one way out. */
  abstract beginClose(
    code: number,
    reason: string,
    initiator: CloseInitiator,
    how?: { readonly cut?: boolean },
  ): Promise<void>;

  /** @internal The socket has closed. */
  abstract socketClosed(code: number, reason: string): void;

  /**
   * @internal Whether anything may still be done for the client: neither the connection is closing nor its socket,
   * whichever side closes it (the app by `client.close()`, the client, the network).
   */
  get mayAct(): boolean {
    return this.isActive && this.attachedSocket?.readyState === SOCKET_OPEN;
  }

  /** @internal Sets the gateway's side: first that of a scope without a socket, then that of the connection. */
  useHooks(hooks: ConnectionHooks): void {
    this.hooks = hooks;
  }

  /** @internal A message came in: traffic, and a sign of life. */
  received(frame: Buffer): void {
    if (!this.mayAct) return this.hooks?.ignored(frame);
    const now = this.owner.clock.now();
    this.lastSeenAt = now;
    this.lastActivityAt = now;
    this.owner.touched(this);
    if (this.pingedAt !== 0) this.seen();
    this.hooks?.received(frame);
  }

  /** @internal Traffic: not stale. @param now monotonic milliseconds */
  touch(now: number = this.owner.clock.now()): void {
    this.lastActivityAt = now;
    this.owner.touched(this);
  }

  /** @internal A sign of life. */
  seen(): void {
    this.lastSeenAt = this.owner.clock.now();
    if (this.pingedAt !== 0) this.#pingAnswered();
  }

  /** @internal Bytes move, although the ping is not answered yet: traffic, and reason enough to ask again later. */
  moved(): void {
    this.touch();
    this.#pingAnswered();
  }

  /** @internal A pong came. */
  ponged(): void {
    if (this.pingedAt !== 0) {
      this.roundTripMs = this.owner.clock.now() - this.pingedAt;
      this.owner.ponged(this, this.roundTripMs);
    }
    this.seen();
  }

  /**
   * @internal Pings, unless an earlier ping is not answered yet. A socket that has closed without a `close` event (its
   * listeners were removed) is found here; one that is closing has as long as any other to come to an end.
   */
  ping(): void {
    const socket = this.attachedSocket;
    if (this.pingedAt !== 0 || !socket) return;
    if (socket.readyState === SOCKET_CLOSED) return this.socketClosed(CloseCode.ABNORMAL, '');
    this.pingedAt = this.owner.clock.now();
    this.owner.pinged(this);
    if (socket.readyState === SOCKET_OPEN) this.attempt(sendPing, socket);
  }

  /** @internal The peer broke the protocol, or the line is broken. `ws` has said goodbye by itself. */
  socketFailed(error: unknown): void {
    this.fail(error);
    const code = codeOfSocketError(error);
    if (code !== CloseCode.ABNORMAL) void this.beginClose(code, 'protocol error', 'server');
    else void this.beginClose(code, '', 'network', { cut: true });
  }

  /** @internal Does something with the socket. A socket that throws is broken: of the app's own class, or in a wrapper. */
  attempt<Socket>(act: (socket: Socket) => void, socket: Socket): void {
    try {
      act(socket);
    } catch (error) {
      this.socketFailed(error);
    }
  }

  /** @internal Gives the slot back before disposal has ended. */
  giveUpSlot(): void {
    this.owner.slotGivenUp(this);
  }

  /** @internal The socket of a closing manager is gone. */
  socketIsGone(): void {
    this.owner.socketGone(this);
  }

  /**
   * @internal Runs one step of the end, for at most `cleanup.disposeTimeoutMs`. Never throws: what went wrong is reported.
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

  /** @internal Something of this connection is waited for no longer: the leak detector lists it until it ends. */
  abandon(label: string, pending: Promise<unknown>): void {
    this.owner.abandoned(this, label, pending);
  }

  /** @internal Remembers what went wrong. */
  fail<E>(error: E): E {
    this.counters.errors += 1;
    this.lastError = errorText(error);
    return error;
  }

  #pingAnswered(): void {
    this.pingedAt = 0;
    this.owner.answered(this);
    this.probeAnswered?.();
  }
}

function sendPing(socket: ManagedSocket): void {
  socket.ping();
}
