import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import { type Clock, CLOCK } from '../clock/clock.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { InvalidContextError } from '../context/context.errors.js';
import {
  type ConnectionIdentity,
  UserExecutionContext,
} from '../context/user-execution-context.js';
import { ManagerLimitError } from '../manager/manager.errors.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { Authentication, httpStatusOf } from './authentication.js';
import { isOriginAllowed } from './origin.js';
import { HandshakeRefused, type Refusal, type RefusalReason } from './refusal.js';
import { Inject, Injectable } from '@nestjs/common';

/** What a handshake came to: a manager that waits for its socket, an answer, or nobody there any more. */
export type HandshakeOutcome =
  { readonly manager: WebSocketManager } | { readonly refusal: Refusal } | 'gone';

/** When a refused client may try again, where nobody knows better. */
const RETRY_AFTER_MS = 5_000;

/**
 * Everything between the upgrade request and the 101: is the process taking connections, is the origin
 * right, who is it, is there a slot. Bounded in number and in time; whoever leaves meanwhile leaves
 * nothing behind.
 */
@Injectable()
export class HandshakeService {
  readonly #pending = new Set<AbortController>();
  #isDraining = false;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly factory: WebSocketManagerFactory,
    private readonly authentication: Authentication,
  ) {}

  /** Handshakes under way. */
  get pending(): number {
    return this.#pending.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** From now on every handshake is refused; those under way are given up. */
  drain(): void {
    this.#isDraining = true;
    for (const controller of this.#pending) controller.abort(new HandshakeRefused('draining'));
  }

  /**
   * Runs a handshake.
   *
   * @param prepare makes the connection's scope once the manager exists; still inside the deadline
   */
  async run(
    request: IncomingMessage,
    socket: Duplex,
    prepare: (manager: WebSocketManager) => Promise<void>,
  ): Promise<HandshakeOutcome> {
    const early = this.#refuseEarly(request);
    if (early) return { refusal: early.refusal };

    const controller = new AbortController();
    this.#pending.add(controller);
    const onClose = (): void => controller.abort('gone');
    socket.once('close', onClose);
    const release = this.clock.after(this.options.handshake.timeoutMs, () =>
      controller.abort(new HandshakeRefused('timeout')),
    );
    try {
      return await this.#admit(request, controller.signal, prepare);
    } finally {
      release();
      socket.off('close', onClose);
      this.#pending.delete(controller);
    }
  }

  #refuseEarly(request: IncomingMessage): HandshakeRefused | undefined {
    const retryAfterMs = RETRY_AFTER_MS;
    if (this.#isDraining) return new HandshakeRefused('draining', { retryAfterMs });
    if (!isOriginAllowed(request, this.options.handshake)) return new HandshakeRefused('origin');
    if (this.#pending.size >= this.options.handshake.maxPending) {
      return new HandshakeRefused('pending-cap', { retryAfterMs });
    }
    return undefined;
  }

  async #admit(
    request: IncomingMessage,
    signal: AbortSignal,
    prepare: (manager: WebSocketManager) => Promise<void>,
  ): Promise<HandshakeOutcome> {
    let manager: WebSocketManager | undefined;
    try {
      const identity = await unlessAborted(signal, this.#identify(request, signal));
      const context = contextOf(request, identity, this.clock);
      const arrival = this.factory.createManager(context);
      // Given up while waiting for a slot: the manager may still be made, and then has to go.
      manager = await unlessAborted(signal, arrival, (late) => abandon(late));
      await unlessAborted(signal, this.#prepare(manager, prepare));
      return { manager };
    } catch (error) {
      if (manager) abandon(manager);
      if (error === 'gone') return 'gone';
      return { refusal: refusalOf(error) };
    }
  }

  async #identify(request: IncomingMessage, signal: AbortSignal): Promise<ConnectionIdentity> {
    let identity: ConnectionIdentity | null;
    try {
      identity = await this.authentication.identify(request, signal);
    } catch (error) {
      throw authenticationRefused(error);
    }
    if (!identity) throw new HandshakeRefused('unauthorized');
    return identity;
  }

  async #prepare(
    manager: WebSocketManager,
    prepare: (manager: WebSocketManager) => Promise<void>,
  ): Promise<void> {
    try {
      await prepare(manager);
    } catch (error) {
      throw new HandshakeRefused('scope-failed', { error, userId: manager.context.userId });
    }
  }
}

function abandon(manager: WebSocketManager): void {
  void manager.beginClose(1001, 'handshake abandoned', 'network');
}

function contextOf(
  request: IncomingMessage,
  identity: ConnectionIdentity,
  clock: Clock,
): UserExecutionContext {
  const context = UserExecutionContext.fromWebSocketRequest({ ...identity, request });
  if (context.expiresAt && context.expiresAt.getTime() <= clock.epoch()) {
    throw new HandshakeRefused('unauthorized', { userId: context.userId });
  }
  return context;
}

// The authenticator's own word: 401 and 403 have a name, any other HTTP status is passed on as it is.
function authenticationRefused(error: unknown): HandshakeRefused {
  const status = httpStatusOf(error);
  if (status === 401) return new HandshakeRefused('unauthorized');
  if (status === 403) return new HandshakeRefused('forbidden');
  if (status === undefined || status < 400 || status > 599) {
    return new HandshakeRefused('auth-failed', { error });
  }
  return new HandshakeRefused('auth-failed', { status, code: codeOfStatus(status), error });
}

function codeOfStatus(status: number): number {
  if (status === 408) return 4408;
  if (status === 429) return 4429;
  if (status === 503) return 1013;
  return status >= 500 ? 1011 : 1008;
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof HandshakeRefused) return error.refusal;
  if (error instanceof InvalidContextError) {
    return new HandshakeRefused('invalid-context', { error }).refusal;
  }
  if (error instanceof ManagerLimitError) {
    const { userId, retryAfterMs, scope } = error;
    const reason: RefusalReason = scope === 'user' ? 'user-limit' : 'process-limit';
    return new HandshakeRefused(reason, { userId, retryAfterMs }).refusal;
  }
  return new HandshakeRefused('auth-failed', { error }).refusal;
}

/** Waits for a promise until the signal is aborted; then throws the signal's reason, and a late value is handed to `tooLate`. */
function unlessAborted<T>(
  signal: AbortSignal,
  promise: Promise<T>,
  tooLate?: (value: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        if (signal.aborted) tooLate?.(value);
        else resolve(value);
      },
      (error: Error) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}
