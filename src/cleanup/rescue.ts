import type { Clock } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import type { CleanupOptions } from '../config/option-groups.js';
import type { Limits } from '../manager/limits.js';
import { SOCKET_CLOSED } from '../wire/managed-socket.js';
import type { UserSlots } from '../manager/user-slots.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Probes } from './probes.js';
import type { VictimRules } from './victim-rules.js';
import type { Victims } from './victims.js';

/** The parts of cleanup that a rescue uses. */
export interface RescueServices {
  readonly clock: Clock;
  readonly options: CleanupOptions;
  readonly limits: Limits;
  readonly rules: VictimRules;
  readonly probes: Probes;
  /** Waits for the victims to end, until the deadline, and reports. */
  finish(victims: Victims, deadlineMs: number, startedAt: number): Promise<unknown>;
  newVictims(): Victims;
}

/**
 * Emergency cleanup for one user at the limit: makes room as far as the rules allow. Arrivals queue up meanwhile, and
 * every slot that is released goes to them.
 */
export class Rescue {
  readonly #victims: Victims;
  readonly #suspects: readonly WebSocketManager[];
  readonly #canEvict: boolean;

  constructor(
    private readonly host: RescueServices,
    private readonly slots: UserSlots,
  ) {
    this.#takeOverClosed();
    this.#victims = host.newVictims();
    for (const manager of slots) {
      if (!manager.isActive) this.#victims.join(manager);
    }
    host.rules.takeUnattached(slots.idle, this.#victims);
    this.#suspects = host.probes.suspectsOf(slots.idle);
    this.#canEvict = host.limits.overflow === 'evict-idle';
  }

  /** Whether there is any connection to remove or probe. */
  get isPromising(): boolean {
    return (
      this.#victims.size > 0 ||
      this.#suspects.length > 0 ||
      this.host.rules.hasStale(this.slots.idle) ||
      (this.#canEvict && this.#evictable().length > 0)
    );
  }

  /** Runs until no more slots can be expected. @param ended called before any arrival is rejected */
  async run(ended: () => void): Promise<void> {
    const { clock, options, rules } = this.host;
    // Arrivals queue up during this first pause.
    await Promise.resolve();
    const startedAt = clock.now();
    const deadlineAt = startedAt + options.emergencyTimeoutMs;
    await Promise.all(this.#suspects.map((manager) => this.#probe(manager)));
    rules.takeStale(this.slots.idle, this.#victims);
    let leaving = this.#victims;
    this.#evict(leaving);
    do {
      const untilDeadline = Math.max(1, deadlineAt - clock.now());
      void this.host.finish(leaving, untilDeadline, startedAt);
      await withDeadline(clock, untilDeadline, leaving.socketsGone());
      // One more turn, in which managers whose socket has just closed hand over their slots.
      await Promise.resolve();
      this.#takeOverClosed();
      leaving = this.host.newVictims();
      // Arrivals that queued up meanwhile may also evict a connection.
    } while (clock.now() < deadlineAt && this.#evict(leaving));
    // In this turn, not the next: an arrival from here on starts a rescue of its own.
    ended();
  }

  async #probe(manager: WebSocketManager): Promise<void> {
    if (await this.host.probes.isSilent(manager)) this.#victims.take(manager, 'zombie');
  }

  // Evicts one connection for each waiting arrival for which no connection is closing yet. Returns whether there are
  // victims.
  #evict(victims: Victims): boolean {
    if (!this.#canEvict) return false;
    const { idle, waiters } = this.slots;
    const leaving = [...idle].filter((manager) => !manager.isActive).length;
    const count = waiters.length - leaving;
    this.host.rules.takeLeastActive(this.#evictable(), count, 'evicted', victims);
    return victims.size > 0;
  }

  // A manager without a socket is itself an arrival, so it is not evicted.
  #evictable(): WebSocketManager[] {
    return [...this.slots.idle].filter((manager) => manager.isActive && manager.socket);
  }

  // A closing manager whose socket is gone gives up its slot, although its disposers still run. Without this, disposers
  // that hang would lock their user out.
  #takeOverClosed(): void {
    for (const manager of this.slots) {
      const isGone =
        !manager.isActive && (!manager.socket || manager.socket.readyState === SOCKET_CLOSED);
      if (isGone) manager.giveUpSlot();
    }
  }
}
