import type { Duplex } from 'node:stream';

import { Inject, Injectable } from '@nestjs/common';

import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { HandshakeAttempt, type HandshakeOwner } from './handshake-attempt.js';
import { PendingHandshakes } from './pending-handshakes.js';
import { draining, HandshakeRefused, type Refusal, RETRY_AFTER_MS, starting } from './refusal.js';

/** The pending handshakes: limits their number and duration, and decides whether new ones may begin. */
@Injectable()
export class HandshakeService {
  readonly #pending: PendingHandshakes;
  #isOpen = false;
  #isDraining = false;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#pending = new PendingHandshakes(clock, options.handshake.timeoutMs);
  }

  /** Number of pending handshakes. */
  get pending(): number {
    return this.#pending.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** From now on, handshakes are accepted: the application has bootstrapped. */
  open(): void {
    this.#isOpen = true;
  }

  /** From now on, every handshake is refused, pending ones too. */
  drain(): void {
    this.#isDraining = true;
    this.#pending.refuseAll(draining());
  }

  /**
   * Begins a handshake, with `handshake.timeoutMs` from now on as its deadline.
   *
   * @param owner is told the outcome, exactly once
   * @returns `undefined` where the handshake was refused at once
   */
  begin(socket: Duplex, owner: HandshakeOwner): HandshakeAttempt | undefined {
    const refusal = this.#refuseEarly();
    if (refusal) {
      owner.handshakeEnded({ refusal });
      return undefined;
    }
    const deadlineAt = this.clock.now() + this.options.handshake.timeoutMs;
    const attempt = new HandshakeAttempt(socket, deadlineAt, owner);
    this.#pending.add(attempt);
    return attempt;
  }

  #refuseEarly(): Refusal | undefined {
    if (this.#isDraining) return draining().refusal;
    if (!this.#isOpen) return starting().refusal;
    if (this.#pending.size < this.options.handshake.maxPending) return undefined;
    return new HandshakeRefused('pending-cap', { retryAfterMs: RETRY_AFTER_MS }).refusal;
  }
}
