import type { HandlerOutcome } from '../journal/isolation-events.js';
import { subjectOf } from '../journal/journal.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { CloseReason } from '../wire/close-codes.js';
import type { InboundMessage } from '../wire/message-parser.js';
import { eventName } from './answers.js';
import type { ConnectionServices } from './connection-services.js';

/** The connection that an event is about. */
interface RecordedConnection {
  readonly services: ConnectionServices;
  readonly manager: WebSocketManager;
  readonly path: string;
}

/** The connection has its socket. @param startedAt monotonic milliseconds at which its handshake began */
export function recordOpened(
  { services, manager, path }: RecordedConnection,
  startedAt: number,
): void {
  const { journal, clock } = services;
  if (!journal.isHeard('connection-opened')) return;
  const handshakeMs = clock.now() - startedAt;
  journal.record('connection-opened', { subject: subjectOf(manager.context), path, handshakeMs });
}

/** The connect hooks have run. */
export function recordReady({ services, manager, path }: RecordedConnection): void {
  const { journal, clock } = services;
  if (!journal.isHeard('connection-ready')) return;
  const connectMs = clock.now() - manager.createdAt;
  journal.record('connection-ready', { subject: subjectOf(manager.context), path, connectMs });
}

/** The socket has closed. */
export function recordClosed(
  { services, manager, path }: RecordedConnection,
  reason: CloseReason,
): void {
  const { journal, clock } = services;
  if (!journal.isHeard('connection-closed')) return;
  const connectedMs = clock.now() - manager.createdAt;
  const subject = subjectOf(manager.context);
  journal.record('connection-closed', { subject, path, reason, connectedMs });
}

/** A handler has ended. The caller has looked whether the event has a listener. */
export function recordHandled(
  { services, manager, path }: RecordedConnection,
  message: InboundMessage,
  startedAt: number,
  outcome: HandlerOutcome,
): void {
  const { clock, handled } = services;
  const durationMs = clock.now() - startedAt;
  const subject = subjectOf(manager.context);
  handled.publish({ subject, path, event: eventName(message), outcome, durationMs });
}
