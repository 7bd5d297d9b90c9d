import type { NodeLoad } from '../cluster/cluster-status.js';
import type { Clock } from '../time/clock.js';
import { ProcessMeter } from './process-meter.js';

/** Counts since the start. */
export interface LoadCounts {
  readonly opened: number;
  readonly refused: number;
  readonly messages: number;
  readonly failed: number;
}

type Rates = { -readonly [Name in keyof LoadCounts | 'busy']: number };

/** Milliseconds over which a rate forgets two thirds of what was. */
const MEMORY_MS = 15_000;
/** Two readings in quick succession are one. */
const SHORTEST_STEP_MS = 500;

/** Measures the load of this process between readings. It has no timer: the heartbeat of the cluster reads it. */
export class LoadMeter {
  readonly #meter = new ProcessMeter();
  #before: LoadCounts | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  readonly #rates: Rates = { opened: 0, refused: 0, messages: 0, failed: 0, busy: 0 };
  #memoryBytes = 0;

  constructor(
    private readonly clock: Clock,
    private readonly count: () => LoadCounts,
    private readonly users: () => number,
  ) {}

  read(): NodeLoad {
    const now = this.clock.now();
    const elapsedMs = now - this.#readAt;
    if (elapsedMs >= SHORTEST_STEP_MS) this.#step(now, elapsedMs);
    const { opened, refused, messages, failed, busy } = this.#rates;
    return {
      users: this.users(),
      openedPerMinute: rounded(opened * 60),
      refusedPerMinute: rounded(refused * 60),
      messagesPerSecond: rounded(messages),
      failedPerMinute: rounded(failed * 60),
      busy: rounded(busy),
      memoryBytes: this.#memoryBytes,
    };
  }

  #step(now: number, elapsedMs: number): void {
    const counts = this.count();
    const { busy, memoryBytes } = this.#meter.read();
    const before = this.#before;
    this.#before = counts;
    this.#readAt = now;
    this.#memoryBytes = memoryBytes;
    if (!before) return;
    const weight = 1 - Math.exp(-elapsedMs / MEMORY_MS);
    const learn = (name: keyof Rates, value: number): void => {
      this.#rates[name] += weight * (value - this.#rates[name]);
    };
    for (const name of ['opened', 'refused', 'messages', 'failed'] as const) {
      learn(name, ((counts[name] - before[name]) * 1000) / elapsedMs);
    }
    learn('busy', busy);
  }
}

// Two digits after the point: it is sent with every heartbeat.
function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
