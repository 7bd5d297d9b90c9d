import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import { Inject, Injectable, Optional } from '@nestjs/common';

import { type Clock, CLOCK } from '../clock/clock.js';
import type { HandshakeOptions } from '../config/option-groups.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import {
  assertNotExpired,
  type ConnectionIdentity,
  UserExecutionContext,
} from '../context/user-execution-context.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { Resume } from '../resume/resume.service.js';
import { httpStatusOf } from '../journal/http-status.js';
import { Authentication } from './authentication.js';
import { abandon, HandshakeAttempt, type HandshakeOutcome } from './handshake-attempt.js';
import { describeForeignOrigin, isOriginAllowed } from './origin.js';
import { PendingHandshakes } from './pending-handshakes.js';
import { draining, HandshakeRefused, type Refusal, RETRY_AFTER_MS, starting } from './refusal.js';

/** Whether a request may go on to authentication. Throws, or rejects with, a Nest `HttpException` to say why not. */
export type VerifyRequest = (request: IncomingMessage) => boolean | Promise<boolean>;

/**
 * Everything between the upgrade request and the 101: is the process taking connections, is the origin
 * right, who is it, is there a slot. Bounded in number and in time; whoever leaves meanwhile leaves
 * nothing behind.
 */
@Injectable()
export class HandshakeService {
  readonly #pending: PendingHandshakes;
  #isOpen = false;
  #isDraining = false;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly factory: WebSocketManagerFactory,
    private readonly authentication: Authentication,
    @Optional() @Inject(Resume) private readonly resume?: Resume,
  ) {
    this.#pending = new PendingHandshakes(clock, options.handshake.timeoutMs);
  }

  /** Handshakes under way. */
  get pending(): number {
    return this.#pending.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** From now on handshakes are taken: the application has bootstrapped. */
  open(): void {
    this.#isOpen = true;
  }

  /** From now on every handshake is refused; those under way are given up. */
  drain(): void {
    this.#isDraining = true;
    this.#pending.refuseAll(draining());
  }

  /**
   * Runs a handshake.
   *
   * @param prepare makes the connection's scope once the manager exists; still inside the deadline
   * @param done gets the outcome, exactly once
   * @param verify the `verifyClient` of the app's `ws` server, if it has one
   */
  run(
    request: IncomingMessage,
    socket: Duplex,
    prepare: (manager: WebSocketManager) => Promise<void> | undefined,
    done: (outcome: HandshakeOutcome) => void,
    verify?: VerifyRequest,
  ): void {
    const refusal = this.#refuseEarly();
    if (refusal) {
      done({ refusal });
      return;
    }
    const deadlineAt = this.clock.now() + this.options.handshake.timeoutMs;
    const attempt = new HandshakeAttempt(socket, deadlineAt, (ended, outcome) => {
      this.#pending.remove(ended);
      done(outcome);
    });
    this.#pending.add(attempt);
    const identified = (identity: ConnectionIdentity | null): void => {
      if (!identity) throw new HandshakeRefused('unauthorized');
      const context = contextOf(request, identity, this.clock);
      this.resume?.assertOwn(context, request);
      this.#takeSlot(attempt, context, prepare);
    };
    const verified = (isAllowed: boolean): void => {
      if (!isAllowed) throw new HandshakeRefused('unauthorized');
      const identify = () => this.authentication.identify(request, attempt);
      attempt.ask(identify, identified, authenticationRefused);
    };
    const fromAllowedOrigin = (isAllowed: boolean): void => {
      if (!isAllowed) throw foreignOrigin(request, this.options.handshake);
      if (verify) attempt.ask(() => verify(request), verified, authenticationRefused);
      else verified(true);
    };
    const askOrigin = () => isOriginAllowed(request, this.options.handshake);
    attempt.ask(askOrigin, fromAllowedOrigin, originRefused);
  }

  #refuseEarly(): Refusal | undefined {
    if (this.#isDraining) return draining().refusal;
    if (!this.#isOpen) return starting().refusal;
    if (this.#pending.size < this.options.handshake.maxPending) return undefined;
    return new HandshakeRefused('pending-cap', { retryAfterMs: RETRY_AFTER_MS }).refusal;
  }

  #takeSlot(
    attempt: HandshakeAttempt,
    context: UserExecutionContext,
    prepare: (manager: WebSocketManager) => Promise<void> | undefined,
  ): void {
    const failed = (error: unknown): HandshakeRefused =>
      new HandshakeRefused('scope-failed', { error, userId: context.userId });
    const arrived = (manager: WebSocketManager): void => {
      attempt.manager = manager;
      let prepared: Promise<void> | undefined;
      try {
        prepared = prepare(manager);
      } catch (error) {
        throw failed(error);
      }
      attempt.wait(prepared, () => attempt.admit(manager), { failed });
    };
    // Given up while waiting for a slot: the manager may still be made, and then has to go.
    attempt.wait(this.factory.arrive(context), arrived, { tooLate: abandon });
  }
}

function contextOf(
  request: IncomingMessage,
  identity: ConnectionIdentity,
  clock: Clock,
): UserExecutionContext {
  // It has a say in who it is, and in nothing else: no id of a connection, no other request.
  const context = UserExecutionContext.fromHttpRequest(request, identity);
  assertNotExpired(context, clock.epoch());
  return context;
}

function foreignOrigin(request: IncomingMessage, options: HandshakeOptions): HandshakeRefused {
  return originRefused(new Error(describeForeignOrigin(request, options)));
}

function originRefused(error: unknown): HandshakeRefused {
  return new HandshakeRefused('origin', { error });
}

// The authenticator's own word: 401 and 403 have a name, any other HTTP status is passed on as it is.
function authenticationRefused(error: unknown): HandshakeRefused {
  const status = httpStatusOf(error);
  if (status === 401) return new HandshakeRefused('unauthorized', { error: causeOf(error) });
  if (status === 403) return new HandshakeRefused('forbidden', { error: causeOf(error) });
  if (status === undefined || !Number.isInteger(status) || status < 400 || status > 599) {
    return new HandshakeRefused('auth-failed', { error });
  }
  return new HandshakeRefused('auth-failed', { status, code: codeOfStatus(status), error });
}

// An exception of Nest says little more than its status; what it was made from may say why.
function causeOf(error: unknown): unknown {
  return (error as { cause?: unknown }).cause ?? error;
}

function codeOfStatus(status: number): number {
  if (status === 408) return 4408;
  if (status === 429) return 4429;
  if (status === 503) return 1013;
  return status >= 500 ? 1011 : 1008;
}
