import { jittered, pauseAfter } from '../time/back-off.js';
import type { Clock, Release } from '../time/clock.js';
import type { HeldTraffic } from '../cluster/cluster-slots.js';
import type { Availability } from './availability.js';
import { CONNECT_TIMEOUT_MS } from './connections.js';
import type { RedisClusterSettings } from './redis.options.js';

/** After renewals that failed. */
const BACK_OFF = { firstMs: 100, longestMs: 2_000 };
/** A lease is doubted so long before it ends. For short ones: a sixth of it. */
const MARGIN_MS = 5_000;
/**
 * How long it is taken for granted that no connection here was disconnected from elsewhere. Whoever
 * disconnects one waits longer than this for the nodes that do not answer.
 */
const INFORMED_MS = 8_000;

/**
 * Renews what this node holds, again and again, and knows until when that is good. One renewal runs at a
 * time. While Redis is away it is tried more often; that is how the node finds out that it is back.
 */
export class Renewal {
  /** Monotonic milliseconds until which connections here need no doubt. A plain field: every message looks at it. */
  freshUntil = Number.POSITIVE_INFINITY;
  /** Epoch milliseconds of the last one that went through; 0 before the first. */
  renewedAt = 0;

  #leasesUntil = Number.POSITIVE_INFINITY;
  #informedUntil = Number.POSITIVE_INFINITY;
  readonly #held = new Set<HeldTraffic>();
  /** Since when it is asked, without an answer, whether what is past {@link freshUntil} still holds. */
  #doubtfulSince: number | undefined;
  #running: Promise<void> | undefined;
  #isWantedAgain = false;
  #failuresInARow = 0;
  #stopTimer: Release | undefined;
  #isStopped = true;

  /**
   * @param attempt renews everything; rejects when Redis does not answer
   */
  constructor(
    private readonly clock: Clock,
    private readonly settings: Readonly<RedisClusterSettings>,
    private readonly availability: Availability,
    private readonly attempt: () => Promise<void>,
  ) {}

  /** Whether this process has slept for so long that others may have what it holds, and Redis has not said yet. */
  get isOverslept(): boolean {
    return this.clock.now() >= this.freshUntil;
  }

  /**
   * Redis does not answer. Then the mode decides, unless this process has overslept: what failed on its side failed
   * while it slept, and it does not know whether Redis is away before it has asked again.
   */
  failed(error: unknown): void {
    const { availability } = this;
    const wasUp = availability.isUp;
    if (this.#isInDoubt()) availability.stumble(error);
    else availability.fail(error);
    // From then on it is tried again, each time after a pause.
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

  /** What was decided on other nodes was asked for at this instant, and is known now. */
  informed(at: number): void {
    this.#informedUntil = at + INFORMED_MS;
    this.#update();
  }

  /** Others may have what is held here, although the time for that is not up by the clock of this process. */
  doubt(): void {
    this.#leasesUntil = this.clock.now();
    this.#update();
    void this.now();
  }

  /** Renews at once, or right after the renewal that is running. */
  now(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#isWantedAgain = true;
    this.#running ??= this.#run();
    return this.#running;
  }

  hold(held: HeldTraffic): void {
    this.#held.add(held);
    // For further ones it is asked already, or will be after a pause.
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
    // Frozen while it was under way: the answers are old news.
    else if (this.#failuresInARow === 0) this.#isWantedAgain = true;
  }

  // The mode serves those who are here.
  #goOnWithoutAnswer(error: unknown): void {
    if (this.#isInDoubt()) return this.availability.stumble(error);
    this.availability.fail(error);
    const now = this.clock.now();
    this.#extend(now);
    this.informed(now);
  }

  // A connection that has died meanwhile is made again first.
  #isInDoubt(): boolean {
    const now = this.clock.now();
    if (now < this.freshUntil) return false;
    this.#doubtfulSince ??= now;
    return now < this.#doubtfulSince + this.#longestDoubtMs;
  }

  // Time to make a new connection, and to ask on it twice.
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
