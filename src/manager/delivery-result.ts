import type { DeliveryReport } from '../history/receipt.js';

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

/** A message as the wire wants it, made once for any number of receivers. */
export type Frame = string | Buffer;

/**
 * The stock client's frame, `{"event", "data"}`, or `undefined` for data that JSON cannot express
 * (a cycle, a BigInt).
 */
export function encodeFrame(event: string, data: unknown): string | undefined {
  return encodeMessage({ event, data });
}

/** Any value as a frame; `undefined` for one that JSON cannot express. */
export function encodeMessage(message: unknown): string | undefined {
  try {
    return JSON.stringify(message);
  } catch {
    return undefined;
  }
}
