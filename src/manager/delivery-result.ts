import type { DeliveryReport } from '../history/receipt.js';
import type { TextFrame } from './text-frame.js';

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

/** A message that is ready to be sent: its text, or for several receivers the bytes of the wire. */
export type Frame = string | TextFrame;

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
