import type { Clock } from '../time/clock.js';
import type { ClusterServices } from '../cluster/cluster.js';
import type { ClusterState } from '../journal/isolation-events.js';
import { isOffline } from './redis-failure.js';
import type { UnavailableMode } from './redis.options.js';

/** Whether Redis can be relied upon, and which limit holds where it cannot. */
export class Availability {
  /** Commands that failed or were not answered in time. */
  failures = 0;
  lastError: string | undefined = undefined;
  readonly #clock: Clock;
  #state: ClusterState = 'joining';
  #since: number;
  #changedAt: number;

  constructor(
    private readonly host: ClusterServices,
    /** What holds while Redis is away. */
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

  /** A command failed in a way that concerns one user only. */
  stumble(error: unknown): void {
    this.failures += 1;
    // That a command found no connection says nothing of why there is none: the error of the connection does.
    if (this.lastError === undefined || !isOffline(error)) this.lastError = messageOf(error);
  }

  /** Redis is away: from now on the mode holds. */
  fail(error: unknown): void {
    this.stumble(error);
    if (this.#state !== 'up' && this.#state !== 'joining') return;
    this.#change(this.mode);
    const cause = this.lastError!;
    this.host.journal.record('cluster-degraded', { state: this.mode, cause });
  }

  /** Redis answers, and what is held here is counted there. */
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

  /** Redis works, but something about it should be mended. */
  warn(what: string): void {
    this.host.journal.record('cluster-warning', { what });
  }

  #change(state: ClusterState): void {
    this.#state = state;
    this.#since = this.#clock.epoch();
    this.#changedAt = this.#clock.now();
  }
}

// A connection that could not be made has all the attempts in one error, and no message of its own.
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message || error.name : String(error);
}
