/** The result of a message to several connections, in numbers of connections. */
export interface DeliveryReport {
  /** Handed to the operating system. */
  readonly sent: number;
  /** Waiting: behind earlier messages of a slow reader, or until the connection is ready. */
  readonly queued: number;
  /** Not sent: the connection is closed, not attached or too slow, or the data cannot be written as JSON. */
  readonly dropped: number;
}

/** Why a message was neither sent nor queued. */
export type DropReason = 'closed' | 'not-attached' | 'slow-consumer' | 'unserializable';

/**
 * The result of one message: `'sent'` to the operating system, `'queued'` behind earlier messages, or dropped, with the
 * reason.
 */
export type DeliveryResult = 'sent' | 'queued' | { readonly dropped: DropReason };

/** A report with every number at 0. */
export function emptyReport(): Record<keyof DeliveryReport, number> {
  return { sent: 0, queued: 0, dropped: 0 };
}

/** Adds the result of one connection to a report. */
export function count(report: Record<keyof DeliveryReport, number>, result: DeliveryResult): void {
  report[typeof result === 'string' ? result : 'dropped'] += 1;
}
