/** The result of a message to several connections, in numbers of connections. */
export interface DeliveryReport {
  /** Handed to the operating system. */
  readonly sent: number;
  /** Waiting: behind earlier messages of a slow reader, until there is room, or until the connection is ready. */
  readonly queued: number;
  /**
   * Not sent: the connection is closed, not attached or too slow, the policy says so, or the data cannot be written as
   * JSON.
   */
  readonly dropped: number;
  /** Of those in `queued`, the ones that took the place of an earlier message. Only with the policy `'latest'`. */
  readonly replaced?: number | undefined;
}

/** Why a message was neither sent nor queued. */
export type DropReason = 'closed' | 'not-attached' | 'slow-consumer' | 'unserializable' | 'policy';

/**
 * The result of one message: `'sent'` to the operating system, `'queued'` behind earlier messages, `'replaced'`: kept
 * instead of an earlier one, or dropped, with the reason.
 */
export type DeliveryResult = 'sent' | 'queued' | 'replaced' | { readonly dropped: DropReason };

/** A report that is being made. */
export type Counts = { -readonly [Name in keyof DeliveryReport]: DeliveryReport[Name] };

/** A report with every number at 0. */
export function emptyReport(): Counts {
  return { sent: 0, queued: 0, dropped: 0 };
}

/** Adds the result of one connection to a report. */
export function count(report: Counts, result: DeliveryResult): void {
  if (typeof result !== 'string') report.dropped += 1;
  else if (result !== 'replaced') report[result] += 1;
  else addTo(report, { queued: 1, replaced: 1 });
}

/** Adds numbers to a report. */
export function addTo(
  report: Counts,
  { sent = 0, queued = 0, dropped = 0, replaced }: Partial<DeliveryReport>,
): void {
  report.sent += sent;
  report.queued += queued;
  report.dropped += dropped;
  if (replaced !== undefined) report.replaced = (report.replaced ?? 0) + replaced;
}
