import { jittered, pauseAfter } from '../time/back-off.js';
import type { Clock, Release } from '../time/clock.js';
import type { HeldTraffic } from '../cluster/cluster-slots.js';
import type { Availability } from './availability.js';
import { CONNECT_TIMEOUT_MS } from './connections.js';
import type { RedisClusterSettings } from './redis.options.js';

/** Pauses after failed renewals. */
const BACK_OFF = { firstMs: 100, longestMs: 2_000 };
/** Milliseconds before its end from which a lease is in doubt; at most a sixth of the lease. */
const MARGIN_MS = 5_000;
/**
 * Milliseconds for which this node relies on its last look at the revocations of other nodes. A node that makes a
 * revocation waits longer than this for nodes that do not confirm it.
 */
const INFORMED_MS = 8_000;

/**
 * Renews the leases of this node periodically, and knows until when they are valid. One renewal runs at a time. While
 * Redis is away, renewals are tried more often; the first one that succeeds shows that Redis is back.
 */
export class Renewal {
  /**
   * Monotonic milliseconds until which the slots here are beyond doubt. A plain field: it is read for every message.
   */
  freshUntil = Number.POSITIVE_INFINITY;
  /** Epoch milliseconds of the last successful renewal; 0 before the first. */
  renewedAt = 0;

  #leasesUntil = Number.POSITIVE_INFINITY;
  #informedUntil = Number.POSITIVE_INFINITY;
  readonly #held = new Set<HeldTraffic>();
  /** Monotonic milliseconds since which this node, past {@link freshUntil}, waits for Redis to confirm its slots. */
  #doubtfulSince: number | undefined;
  #running: Promise<void> | undefined;
  #isWantedAgain = false;
  #failuresInARow = 0;
  #stopTimer: Release | undefined;
  #isStopped = true;

  /** @param attempt renews all leases; rejects when Redis does not reply */
  constructor(
    private readonly clock: Clock,
    private readonly settings: Readonly<RedisClusterSettings>,
    private readonly availability: Availability,
    private readonly attempt: () => Promise<void>,
  ) {}

  /**
   * Whether this process has slept for so long that other nodes may have its slots, and Redis has not confirmed them.
   */
  get isOverslept(): boolean {
    return this.clock.now() >= this.freshUntil;
  }

  /**
   * A command failed because Redis does not reply. Then the mode decides, unless this process has overslept: the
   * command failed while the process slept, so it has to ask again before it knows whether Redis is away.
   */
  failed(error: unknown): void {
    const { availability } = this;
    const wasUp = availability.isUp;
    if (this.#isInDoubt()) availability.stumble(error);
    else availability.fail(error);
    // Only the first failure renews at once. Later renewals follow after pauses.
    if (wasUp && this.#failuresInARow === 0) void this.now();
  }

  start(): void {
    this.#isStopped = false;
    const now = this.clock.now();
    this.#extend(now);
    this.informed(now);
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopTimer?.();
    this.freshUntil = Number.POSITIVE_INFINITY;
    this.#letGo();
  }

  /** The revocations of other nodes are known. @param at monotonic milliseconds at which Redis was asked for them */
  informed(at: number): void {
    this.#informedUntil = at + INFORMED_MS;
    this.#update();
  }

  /** Other nodes may have slots of this node, although by its own clock the leases have not ended. Renews at once. */
  doubt(): void {
    this.#leasesUntil = this.clock.now();
    this.#update();
    void this.now();
  }

  /** Renews at once, or right after the renewal that is running. Resolves when the renewals are done. */
  now(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#isWantedAgain = true;
    this.#running ??= this.#run();
    return this.#running;
  }

  hold(held: HeldTraffic): void {
    this.#held.add(held);
    // For further ones a renewal is already running, or scheduled.
    if (this.#held.size === 1) void this.now();
  }

  async #run(): Promise<void> {
    this.#stopTimer?.();
    while (this.#isWantedAgain && !this.#isStopped) {
      this.#isWantedAgain = false;
      await this.#renew();
    }
    this.#running = undefined;
    if (!this.#isStopped) this.#schedule();
  }

  async #renew(): Promise<void> {
    const startedAt = this.clock.now();
    try {
      await this.attempt();
      this.#failuresInARow = 0;
      this.renewedAt = this.clock.epoch();
      this.#extend(startedAt);
      this.informed(startedAt);
    } catch (error) {
      this.#failuresInARow += 1;
      this.#goOnWithoutAnswer(error);
    }
    const isFresh = this.clock.now() < this.freshUntil;
    if (isFresh) this.#letGo();
    // The process was frozen during the renewal: the replies are outdated.
    else if (this.#failuresInARow === 0) this.#isWantedAgain = true;
  }

  // Redis is away: connections that are open continue to be served, in every mode.
  #goOnWithoutAnswer(error: unknown): void {
    if (this.#isInDoubt()) return this.availability.stumble(error);
    this.availability.fail(error);
    const now = this.clock.now();
    this.#extend(now);
    this.informed(now);
  }

  // Whether the slots are in doubt and Redis may still confirm them. If the connection has died meanwhile, that
  // includes the time for a new one.
  #isInDoubt(): boolean {
    const now = this.clock.now();
    if (now < this.freshUntil) return false;
    this.#doubtfulSince ??= now;
    return now < this.#doubtfulSince + this.#longestDoubtMs;
  }

  // Time for a new connection, and for two commands on it.
  get #longestDoubtMs(): number {
    return CONNECT_TIMEOUT_MS + 2 * this.settings.commandTimeoutMs;
  }

  #extend(from: number): void {
    const { leaseMs } = this.settings;
    this.#leasesUntil = from + leaseMs - Math.min(MARGIN_MS, leaseMs / 6);
    this.#update();
  }

  #update(): void {
    if (this.#isStopped) return;
    this.freshUntil = Math.min(this.#leasesUntil, this.#informedUntil);
    if (this.clock.now() < this.freshUntil) this.#doubtfulSince = undefined;
  }

  #letGo(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const traffic of held) traffic.resume();
  }

  #schedule(): void {
    this.#stopTimer = this.clock.after(this.#pauseMs, () => void this.now());
  }

  get #pauseMs(): number {
    const { renewMs } = this.settings;
    if (this.#failuresInARow === 0) return jittered(renewMs);
    const longestMs = Math.min(BACK_OFF.longestMs, renewMs);
    return pauseAfter(this.#failuresInARow, { ...BACK_OFF, longestMs });
  }
}
