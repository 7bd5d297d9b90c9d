import { CloseCode, type CloseReason } from '../closing/close-codes.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** The journal's lines about the end of a manager. */
export function recordClosing(
  journal: Journal,
  manager: WebSocketManager,
  reason: CloseReason,
): void {
  if (journal.isHeard('manager-closing')) {
    journal.record('manager-closing', { subject: subjectOf(manager.context), reason });
  }
  if (reason.code === CloseCode.SLOW_CONSUMER && journal.isHeard('slow-consumer')) {
    const { bufferedBytes } = manager;
    journal.record('slow-consumer', { subject: subjectOf(manager.context), bufferedBytes });
  }
}

/** @param now monotonic milliseconds */
export function recordDisposed(
  journal: Journal,
  manager: WebSocketManager,
  reason: CloseReason,
  now: number,
): void {
  if (!journal.isHeard('manager-disposed')) return;
  journal.record('manager-disposed', {
    subject: subjectOf(manager.context),
    reason,
    lifetimeMs: now - manager.createdAt,
    disposalMs: now - manager.closingAt,
  });
}
