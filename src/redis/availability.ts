import type { Clock } from '../time/clock.js';
import type { ClusterServices } from '../cluster/cluster.js';
import { CLUSTER_FAILURES, type ClusterFailure } from '../cluster/cluster-status.js';
import type { ClusterState } from '../journal/isolation-events.js';
import { failureOf, isOffline } from './redis-failure.js';
import type { UnavailableMode } from './redis.options.js';

/** Whether Redis is available, and which limit holds while it is not. */
export class Availability {
  /** Commands that failed or got no reply in time, by reason. */
  readonly failures = Object.fromEntries(CLUSTER_FAILURES.map((reason) => [reason, 0])) as Record<
    ClusterFailure,
    number
  >;
  lastError: string | undefined = undefined;
  readonly #clock: Clock;
  #state: ClusterState = 'joining';
  #since: number;
  #changedAt: number;

  constructor(
    private readonly host: ClusterServices,
    /** Which limit holds while Redis is away. */
    readonly mode: UnavailableMode,
    private readonly nodeId: string,
  ) {
    this.#clock = host.clock;
    this.#since = this.#clock.epoch();
    this.#changedAt = this.#clock.now();
  }

  get state(): ClusterState {
    return this.#state;
  }

  /** Epoch milliseconds of the last change. */
  get since(): number {
    return this.#since;
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  get hasLeft(): boolean {
    return this.#state === 'left';
  }

  /** Counts a failure that does not mean that Redis is away, for example one that concerns a single user. */
  stumble(error: unknown): void {
    this.failures[failureOf(error)] += 1;
    // An offline error does not explain why there is no connection. The error of the connection does, so it is kept.
    if (this.lastError === undefined || !isOffline(error)) this.lastError = messageOf(error);
  }

  /** Redis is away: from now on the mode applies. */
  fail(error: unknown): void {
    this.stumble(error);
    if (this.#state !== 'up' && this.#state !== 'joining') return;
    this.#change(this.mode);
    const cause = this.lastError!;
    this.host.journal.record('cluster-degraded', { state: this.mode, cause });
  }

  /** Redis replies again, and the leases of this node are counted there. */
  recover(found: { nodes: number; leases: number }): void {
    if (this.#state === 'up' || this.#state === 'left') return;
    const isFirst = this.#state === 'joining';
    const downMs = this.#clock.now() - this.#changedAt;
    this.#change('up');
    const { nodes, leases } = found;
    if (isFirst) this.host.journal.record('cluster-joined', { nodeId: this.nodeId, nodes });
    else this.host.journal.record('cluster-recovered', { downMs, leases });
  }

  leave(): void {
    if (this.#state === 'left') return;
    this.#change('left');
    this.host.journal.record('cluster-left', { nodeId: this.nodeId });
  }

  /** Redis works, but its set-up or its clock should be repaired. */
  warn(what: string): void {
    this.host.journal.record('cluster-warning', { what });
  }

  #change(state: ClusterState): void {
    this.#state = state;
    this.#since = this.#clock.epoch();
    this.#changedAt = this.#clock.now();
  }
}

// When connecting fails, the error is an AggregateError: it holds one error for each attempt, and has no message
// itself.
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message || error.name : String(error);
}
