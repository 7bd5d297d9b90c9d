import { Injectable } from '@nestjs/common';

import { CloseCode } from '../wire/close-codes.js';
import type { RemovalCause } from '../journal/isolation-events.js';
import { Journal, subjectOf } from '../journal/journal.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';

const REASONS: Readonly<Record<RemovalCause, string>> = {
  closed: 'closed',
  unattached: 'never attached',
  zombie: 'unresponsive',
  stale: 'idle',
  idle: 'idle',
  evicted: 'replaced by a newer connection',
  'limit-lowered': 'limit lowered',
  'lease-lost': 'lease lost',
};

/** The close code for each cause of a removal. */
export const REMOVAL_CODES: Readonly<Record<RemovalCause, number>> = {
  closed: CloseCode.NORMAL,
  unattached: CloseCode.NORMAL,
  zombie: CloseCode.UNRESPONSIVE,
  stale: CloseCode.IDLE,
  idle: CloseCode.IDLE,
  evicted: CloseCode.REPLACED,
  'limit-lowered': CloseCode.REPLACED,
  'lease-lost': CloseCode.LEASE_LOST,
};

/** Removes one manager on behalf of cleanup: records the event, and closes the connection. */
@Injectable()
export class Removal {
  constructor(private readonly journal: Journal) {}

  remove(
    manager: WebSocketManager,
    cause: RemovalCause,
    code = REMOVAL_CODES[cause],
  ): Promise<void> {
    this.journal.record('manager-removed', { subject: subjectOf(manager.context), cause, code });
    // A zombie sends no close frame either: waiting for it would only hold the slot.
    const cut = cause === 'zombie';
    return manager.beginClose(code, REASONS[cause], 'cleanup', { cut });
  }
}
