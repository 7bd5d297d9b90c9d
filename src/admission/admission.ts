import type { Duplex } from 'node:stream';

import type { AdmissionOptions } from '../config/admission-options.js';
import type { Clock, Release } from '../time/clock.js';
import { type DelayWindow, EventLoopDelay } from '../time/event-loop-delay.js';
import { AddressTable } from './address-table.js';
import { ArrivalRate } from './arrival-rate.js';

/** Why an arrival is refused before it is asked who it is. */
export interface AdmissionRefusal {
  readonly reason: 'address-limit' | 'address-rate' | 'connect-rate' | 'event-loop';
  /** `undefined` where nothing is known of the time that it will take. */
  readonly retryAfterMs?: number;
}

/** An arrival, as admission sees it. */
export interface Visitor {
  readonly address: string | undefined;
  /** Whether the client comes back to a thread; it goes first then. Only asked for where it matters. */
  readonly isReturning: () => boolean;
}

/** The median of a short time: one long turn is no overload, and an overload is noticed within a second. */
const DELAY: DelayWindow = { resolutionMs: 10, windowMs: 250, percentile: 50 };
/** Returning clients are admitted up to this multiple of the delay at which newcomers are refused. */
const RETURNING_DELAY = 2;

/**
 * Decides, before authentication, whether a process takes an arrival: by the address, by the delay of its event loop
 * and by the rate of arrivals. In front of an overloaded process the cheapest way out is the first one.
 */
export class Admission {
  readonly #addresses: AddressTable | undefined;
  readonly #rate: ArrivalRate;
  readonly #delay: EventLoopDelay | undefined;

  constructor(
    private readonly options: AdmissionOptions,
    private readonly clock: Clock,
  ) {
    const { perSecond, burst, maxEventLoopDelayMs, perAddress } = options;
    this.#rate = new ArrivalRate(perSecond, burst, clock.now());
    this.#addresses = perAddress && new AddressTable(clock, perAddress);
    if (maxEventLoopDelayMs !== undefined) this.#delay = new EventLoopDelay(clock, DELAY);
  }

  /** Client networks that are remembered. */
  get addresses(): number {
    return this.#addresses?.size ?? 0;
  }

  /** Starts to measure. Returns the function that stops all timers; nothing is admitted after it. */
  start(): Release {
    const stop = this.#delay?.start();
    return () => {
      stop?.();
      this.#addresses?.dispose();
    };
  }

  /** Judges an arrival by its address and by the load of this process. */
  judge({ address, isReturning }: Visitor): AdmissionRefusal | undefined {
    if (this.#addresses && address !== undefined) {
      const refusal = this.#addresses.judge(address, isReturning);
      if (refusal) return refusal;
    }
    if (!this.#delay) return undefined;
    const most = this.options.maxEventLoopDelayMs!;
    const { ms } = this.#delay;
    if (ms <= most || (ms <= most * RETURNING_DELAY && isReturning())) return undefined;
    // They take places in the queue too: otherwise they come together while its tokens have been left unused.
    return { reason: 'event-loop', retryAfterMs: this.#place(isReturning()) };
  }

  /** Takes a token of the process for an arrival that nothing else refuses. */
  take({ isReturning }: Visitor): AdmissionRefusal | undefined {
    const now = this.clock.now();
    // Returning clients may overdraw the bucket. Newcomers then wait until it has filled up again.
    if (this.#rate.take(now) || (isReturning() && this.#rate.take(now, this.options.burst))) {
      return undefined;
    }
    return { reason: 'connect-rate', retryAfterMs: this.#place(isReturning()) };
  }

  /** Counts the socket of an arrival that was admitted, until it closes. */
  hold({ address }: Visitor, socket: Duplex): void {
    if (address !== undefined) this.#addresses?.hold(address, socket);
  }

  // The next place in the queue of the process: milliseconds until its turn.
  #place(isReturning: boolean): number {
    return this.#rate.queue(this.clock.now(), isReturning);
  }
}
