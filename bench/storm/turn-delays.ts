/** How often the event loop is looked at, in milliseconds. */
const TICK_MS = 5;

/** The 99th percentile of the time that a message waits in a process before code can read it, in milliseconds. */
export interface TurnDelay {
  /** Whatever the reason: work of this process, or other processes on the same cores. */
  readonly p99: number;
  /** The part for which this process was at work itself. */
  readonly ownP99: number;
}

/** A tick of a timer that was late. */
interface LateTick {
  readonly lateMs: number;
  /** Processor time of this process in that time. */
  readonly ownMs: number;
}

/**
 * Measures for how long messages wait for a turn of the event loop, and separates the work of this process from the time
 * in which it was not given a processor: on a machine that runs everything at once, the second can be most of it.
 */
export class TurnDelays {
  #late: LateTick[] = [];
  #beganAt = performance.now();
  #lastAt = this.#beganAt;
  #lastCpuMs = cpuMs();

  constructor() {
    setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** The delays since the last call. */
  take(): TurnDelay {
    const totalMs = performance.now() - this.#beganAt;
    const late = this.#late;
    this.#late = [];
    this.#beganAt = performance.now();
    return {
      p99: waitAt(
        0.99,
        totalMs,
        late.map(({ lateMs }) => lateMs),
      ),
      ownP99: waitAt(
        0.99,
        totalMs,
        late.map(({ lateMs, ownMs }) => Math.min(lateMs, ownMs)),
      ),
    };
  }

  #tick(): void {
    const [now, cpu] = [performance.now(), cpuMs()];
    const lateMs = now - this.#lastAt - TICK_MS;
    if (lateMs > 0) this.#late.push({ lateMs, ownMs: cpu - this.#lastCpuMs });
    [this.#lastAt, this.#lastCpuMs] = [now, cpu];
  }
}

/**
 * A message that arrives at any moment of a busy time waits for its end. So the share of messages that wait for longer
 * than `ms` is the share of the time that is at least `ms` before the end of a busy time.
 */
export function waitAt(share: number, totalMs: number, busyMs: readonly number[]): number {
  let [low, high] = [0, Math.max(0, ...busyMs)];
  while (high - low > 0.01) {
    const ms = (low + high) / 2;
    const longer = busyMs.reduce((sum, busy) => sum + Math.max(0, busy - ms), 0);
    if (longer > totalMs * (1 - share)) low = ms;
    else high = ms;
  }
  return high;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
