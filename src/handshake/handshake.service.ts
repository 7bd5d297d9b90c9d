import type { Duplex } from 'node:stream';

import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';

import { Admission, type Visitor } from '../admission/admission.js';
import { ReturningClients } from '../admission/returning-clients.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { type Clock, CLOCK, type Release } from '../time/clock.js';
import { HandshakeAttempt, type HandshakeOwner } from './handshake-attempt.js';
import { PendingHandshakes } from './pending-handshakes.js';
import { draining, type Refusal, refusedForNow, starting } from './refusal.js';

interface NoPlace {
  readonly reason: 'pending-cap';
  readonly retryAfterMs?: undefined;
}

const NO_PLACE: NoPlace = { reason: 'pending-cap' };

/** The pending handshakes: limits their number and duration, and decides whether new ones may begin. */
@Injectable()
export class HandshakeService implements OnApplicationShutdown {
  readonly #pending: PendingHandshakes;
  // Clients that come back have places of their own: those who only claim to be users cannot fill them.
  readonly #returning: PendingHandshakes;
  readonly #returningClients: ReturningClients;
  readonly #admission: Admission | undefined;
  #stopAdmission: Release | undefined;
  #isOpen = false;
  #isDraining = false;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    const { timeoutMs, admission } = options.handshake;
    this.#pending = new PendingHandshakes(clock, timeoutMs);
    this.#returning = new PendingHandshakes(clock, timeoutMs);
    this.#returningClients = new ReturningClients(clock);
    this.#admission = admission && new Admission(admission, clock);
  }

  /** Number of pending handshakes. */
  get pending(): number {
    return this.#pending.size + this.#returning.size;
  }

  /** Client networks that are remembered for their limits. */
  get addresses(): number {
    return this.#admission?.addresses ?? 0;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** From now on, handshakes are accepted: the application has bootstrapped. */
  open(): void {
    this.#isOpen = true;
    this.#stopAdmission ??= this.#admission?.start();
  }

  /** From now on, every handshake is refused, pending ones too. */
  drain(): void {
    this.#isDraining = true;
    this.#pending.refuseAll(draining);
    this.#returning.refuseAll(draining);
  }

  onApplicationShutdown(): void {
    this.#stopAdmission?.();
  }

  /**
   * Begins a handshake, with `handshake.timeoutMs` from now on as its deadline.
   *
   * @param owner is told the outcome, exactly once
   * @returns `undefined` where the handshake was refused at once
   */
  begin(socket: Duplex, owner: HandshakeOwner): HandshakeAttempt | undefined {
    const place = this.#judge(socket, owner);
    if (!(place instanceof PendingHandshakes)) {
      owner.handshakeEnded({ refusal: place });
      return undefined;
    }
    const deadlineAt = this.clock.now() + this.options.handshake.timeoutMs;
    const attempt = new HandshakeAttempt(socket, deadlineAt, owner);
    place.add(attempt);
    return attempt;
  }

  // The place of a handshake, or its refusal.
  #judge(socket: Duplex, owner: HandshakeOwner): PendingHandshakes | Refusal {
    if (this.#isDraining) return draining();
    if (!this.#isOpen) return starting();
    if (!this.#admission && !this.#isFull) return this.#pending;
    return this.#admit(this.#visitor(owner), socket);
  }

  #admit(visitor: Visitor, socket: Duplex): PendingHandshakes | Refusal {
    const isFull = this.#isFull;
    const admission = this.#admission;
    const refusal =
      admission?.judge(visitor) ??
      (isFull ? this.#judgeWithoutPlace(visitor) : undefined) ??
      admission?.take(visitor);
    if (refusal) return refusedForNow(refusal.reason, refusal.retryAfterMs);
    admission?.hold(visitor, socket);
    return isFull ? this.#returning : this.#pending;
  }

  get #isFull(): boolean {
    return this.#pending.size >= this.options.handshake.maxPending;
  }

  #judgeWithoutPlace({ isReturning }: Visitor): NoPlace | undefined {
    const hasPlaces = this.#returning.size < this.options.handshake.maxPending;
    return hasPlaces && isReturning() ? undefined : NO_PLACE;
  }

  // Asks the owner for no more than is needed, and once: a refusal has to be cheap.
  #visitor(owner: HandshakeOwner): Visitor {
    let isReturning: boolean | undefined;
    return {
      address: this.options.handshake.admission?.perAddress && owner.address(),
      isReturning: () => (isReturning ??= this.#returningClients.isReturning(owner.returningTo())),
    };
  }
}
