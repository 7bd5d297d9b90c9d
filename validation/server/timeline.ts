import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import type { LeakDetector, WebSocketManagerFactory } from 'nestjs-websocket-isolation';

import type { Step } from '../../lab/chart.js';

/** The history of a server from its start to its end. */
export interface History {
  readonly durationMs: number;
  /** Held slots over time, by user: a step for each change of the number. */
  readonly managers: Readonly<Record<string, readonly Step[]>>;
  /** The highest number of slots held at once by all users together. */
  readonly peakManagers: number;
  readonly peakHeapMb: number;
  readonly peakRssMb: number;
  /** How often the ledger did not add up: created was not active + disposed. */
  readonly ledgerFaults: number;
}

const EVERY_MS = 20;
const MB = 2 ** 20;

/** Samples a server's state periodically. */
export class Timeline {
  readonly #managers = new Map<string, Step[]>();
  readonly #startedAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #peakManagers = 0;
  #peakHeap = 0;
  #ledgerFaults = 0;

  constructor(
    private readonly factory: WebSocketManagerFactory,
    private readonly leaks: LeakDetector,
  ) {}

  start(): void {
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
    // The timer could miss a short peak, so the events trigger samples too.
    subscribe('websocket-isolation:manager-created', this.#look);
    subscribe('websocket-isolation:manager-disposed', this.#look);
  }

  finish(): History {
    clearInterval(this.#timer);
    unsubscribe('websocket-isolation:manager-created', this.#look);
    unsubscribe('websocket-isolation:manager-disposed', this.#look);
    this.#look();
    return {
      durationMs: this.#now,
      managers: Object.fromEntries(this.#managers),
      peakManagers: this.#peakManagers,
      peakHeapMb: this.#peakHeap / MB,
      peakRssMb: process.resourceUsage().maxRSS / 1024,
      ledgerFaults: this.#ledgerFaults,
    };
  }

  get #now(): number {
    return Math.round(performance.now() - this.#startedAt);
  }

  readonly #look = (): void => {
    const { userDistribution } = this.factory.getStats();
    const { created, active, disposed } = this.leaks.getReport().ledger;
    if (created !== active + disposed) this.#ledgerFaults += 1;
    const held = Object.values(userDistribution).reduce((sum, slots) => sum + slots, 0);
    this.#peakManagers = Math.max(this.#peakManagers, held);
    this.#peakHeap = Math.max(this.#peakHeap, process.memoryUsage().heapUsed);
    for (const user of new Set([...this.#managers.keys(), ...Object.keys(userDistribution)])) {
      this.#note(user, userDistribution[user] ?? 0);
    }
  };

  #note(user: string, managers: number): void {
    const steps = this.#managers.get(user) ?? [[0, 0]];
    this.#managers.set(user, steps);
    if (steps.at(-1)![1] !== managers) steps.push([this.#now, managers]);
  }
}
