/** What became of a message to several connections, in numbers of connections. */
export interface DeliveryReport {
  /** Handed to the operating system. */
  readonly sent: number;
  /** Waiting: behind earlier messages of a slow reader, or for the connection to become ready. */
  readonly queued: number;
  /** Closed, not attached, too slow, or the data is not JSON. */
  readonly dropped: number;
}

/** Why a message was not even queued. */
export type DropReason = 'closed' | 'not-attached' | 'slow-consumer' | 'unserializable';

/**
 * What became of a message: `'sent'` to the operating system, `'queued'` behind earlier ones,
 * or dropped, with the reason.
 */
export type DeliveryResult = 'sent' | 'queued' | { readonly dropped: DropReason };

/** A report to count in. */
export function emptyReport(): Record<keyof DeliveryReport, number> {
  return { sent: 0, queued: 0, dropped: 0 };
}

/** Adds one connection to a report. */
export function count(report: Record<keyof DeliveryReport, number>, result: DeliveryResult): void {
  report[typeof result === 'string' ? result : 'dropped'] += 1;
}
