/** Why a message was not even queued. */
export type DropReason = 'closed' | 'not-attached' | 'slow-consumer' | 'unserializable';

/**
 * What became of a message: `'sent'` to the operating system, `'queued'` behind earlier ones,
 * or dropped, with the reason.
 */
export type DeliveryResult = 'sent' | 'queued' | { readonly dropped: DropReason };

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
