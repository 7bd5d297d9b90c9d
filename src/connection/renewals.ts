import type { OptionGroups } from '../config/isolation.options.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import { assertNotExpired } from '../context/context.errors.js';
import { type UserExecutionContext } from '../context/user-execution-context.js';
import { exceptionReply, MessageRefusedError } from '../handlers/exception-reply.js';
import { askWhileOpen, CLOSED } from '../handshake/ask-while-open.js';
import type { Authentication } from '../handshake/authentication.js';
import {
  authenticationRefused,
  HandshakeRefused,
  type Refusal,
  refusalOf,
} from '../handshake/refusal.js';
import type { RenewalRefusal } from '../journal/isolation-events.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import type { IsolationViolationError } from '../manager/manager.errors.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { TracedStep } from '../monitoring/tracer.js';
import type { Tracing } from '../monitoring/tracing.js';
import type { Clock } from '../time/clock.js';
import { TIMED_OUT } from '../time/deadline.js';
import type { TopicRequests } from '../topics/topic-requests.js';
import { encodeFrame, withField } from '../wire/frame-encoding.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import { refuseWaiting } from './reply.js';

/** The event with which a client renews its identity. */
const RENEW = 'renew';

/** The connection whose identity is renewed. */
export interface RenewingConnection {
  readonly services: {
    readonly options: Pick<OptionGroups, 'handshake'>;
    readonly clock: Clock;
    readonly journal: Journal;
    readonly tracing: Tracing;
    readonly topics: Pick<TopicRequests, 'review'>;
  };
  readonly manager: WebSocketManager;
  readonly path: string;
  /** Returns whether the identity has expired; if so, closes the connection. */
  isExpired(): boolean;
  /** Goes on with a renewed identity. */
  renewed(identity: UserExecutionContext): void;
}

/** Records that a client has used credentials of another user or thread, and returns the error for it. */
export type RecordViolation = (
  context: UserExecutionContext,
  what: string,
) => IsolationViolationError;

/** A renewal that has no reply yet. */
interface Renewal {
  readonly connection: RenewingConnection;
  readonly message: InboundMessage;
  readonly startedAt: number;
  readonly traced: TracedStep | undefined;
}

/**
 * Renews identities of open connections, one at a time for each of them. Renewals go past the queue of messages: all
 * handlers of a connection may be busy when its identity is about to expire.
 */
export class Renewals {
  readonly #pending = new Map<WebSocketManager, Renewal>();

  constructor(
    private readonly authentication: Pick<Authentication, 'renew'>,
    private readonly violation: RecordViolation,
  ) {}

  /** Renewals that have no reply yet. */
  get pending(): number {
    return this.#pending.size;
  }

  takes({ event }: InboundMessage): boolean {
    return event === RENEW;
  }

  handle(connection: RenewingConnection, message: InboundMessage): void {
    const { manager, services, path } = connection;
    const startedAt = services.clock.now();
    if (this.#pending.has(manager)) {
      this.#record(connection, { reason: 'pending', status: 429 });
      const pending = new MessageRefusedError('RENEWAL_PENDING', 'A renewal is under way already.');
      return send(manager, 'exception', exceptionReply(pending, messageId(message)));
    }
    const traced = services.tracing.tracer?.renewal(manager, path);
    const renewal = { connection, message, startedAt, traced };
    this.#pending.set(manager, renewal);
    void this.#renew(renewal);
  }

  /** The connection is closing: its renewal has no result any more. */
  closing(manager: WebSocketManager): void {
    const renewal = this.#pending.get(manager);
    this.#pending.delete(manager);
    if (renewal) refuseWaiting(manager, renewal.message);
  }

  async #renew(renewal: Renewal): Promise<void> {
    const { connection, traced } = renewal;
    try {
      const identity = await this.#ask(renewal);
      if (identity !== CLOSED && isOpen(connection)) this.#accept(renewal, identity);
    } catch (error) {
      if (isOpen(connection)) this.#refuse(renewal, refusalOf(error));
    } finally {
      this.#pending.delete(connection.manager);
      traced?.end();
    }
  }

  async #ask({
    connection,
    message,
    traced,
  }: Renewal): Promise<ConnectionIdentity | typeof CLOSED> {
    const { manager, services } = connection;
    const { clock, options } = services;
    const { timeoutMs } = options.handshake;
    const { identity } = manager;
    const ask = (signal: AbortSignal): ReturnType<Authentication['renew']> =>
      runInContext(
        new ConnectionCode(identity),
        () => this.authentication.renew(identity, message.data, signal),
        undefined,
      );
    const asked = askWhileOpen(clock, timeoutMs, manager.signal, (signal) =>
      traced ? traced.run(() => ask(signal)) : ask(signal),
    );
    const answer = await asked.catch((error: unknown) => {
      throw authenticationRefused(error);
    });
    if (answer === TIMED_OUT) throw new HandshakeRefused('timeout');
    if (answer === null) throw new HandshakeRefused('unauthorized');
    return answer;
  }

  #accept(renewal: Renewal, answer: ConnectionIdentity): void {
    const { connection, message, startedAt } = renewal;
    const { manager, services } = connection;
    const { clock, journal, topics } = services;
    const before = manager.metadata;
    const identity = manager.identity.renewed(answer, clock.epoch());
    if (!identity) {
      const what = 'A client has sent credentials of another user or thread to renew its identity';
      throw this.violation(manager.context, what);
    }
    assertNotExpired(identity, clock.epoch());
    connection.renewed(identity);
    const expiresAt = identity.expiresAt?.getTime();
    this.#pending.delete(manager);
    send(manager, 'renewed', { expiresAt: expiresAt ?? null }, messageId(message));
    if (manager.metadata !== before) topics.review(manager);
    if (!journal.isHeard('identity-renewed')) return;
    journal.record('identity-renewed', {
      subject: subjectOf(manager.context),
      ...(expiresAt !== undefined && { expiresAt }),
      durationMs: clock.now() - startedAt,
    });
  }

  #refuse({ connection, message, traced }: Renewal, refusal: Refusal): void {
    const { manager } = connection;
    const { status, code, error } = refusal;
    if (error !== undefined) manager.fail(error);
    traced?.fail(error ?? new HandshakeRefused(refusal.reason));
    // Only an answer about the user ends the connection. After a fault, the identity is what it was.
    const isFinal = status === 401 || status === 403;
    const reason = refusal.reason as RenewalRefusal;
    this.#record(connection, { reason, status, ...(isFinal && { code }), error });
    this.#pending.delete(manager);
    send(manager, 'exception', exceptionReply(publicError(refusal), messageId(message)));
    if (isFinal) void manager.close(code, reason);
  }

  #record(
    { manager, services }: RenewingConnection,
    details: { reason: RenewalRefusal; status: number; code?: number; error?: unknown },
  ): void {
    const { journal } = services;
    if (!journal.isHeard('renewal-refused')) return;
    journal.record('renewal-refused', { subject: subjectOf(manager.context), ...details });
  }
}

// Looked at after every wait. An identity that expires during its renewal has expired: only one of the two happens.
function isOpen(connection: RenewingConnection): boolean {
  return connection.manager.mayAct && !connection.isExpired();
}

const UNAUTHORIZED = new MessageRefusedError(
  'UNAUTHORIZED',
  'The identity was not renewed, and the connection is closed.',
);
const FORBIDDEN = new MessageRefusedError(
  'FORBIDDEN',
  'These credentials are not for this connection, which is closed.',
);
const TOO_LATE = new MessageRefusedError(
  'RENEWAL_TIMEOUT',
  'The identity was not renewed in time. It stays as it is: try again.',
);

// The client learns of a fault what it would learn of one in a handler.
function publicError({ status, reason, error }: Refusal): unknown {
  if (status === 401) return UNAUTHORIZED;
  if (status === 403) return FORBIDDEN;
  return reason === 'timeout' ? TOO_LATE : error;
}

function send(manager: WebSocketManager, event: string, data: unknown, id?: string | number): void {
  const frame = encodeFrame(event, data);
  if (frame === undefined) return;
  manager.sendFrame(id === undefined ? frame : withField(frame, 'id', id));
}
