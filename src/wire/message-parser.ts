/** A message of a client. `id` is the client's own, for recognising the answer to a failed message. */
export interface InboundMessage {
  readonly event: unknown;
  readonly data: unknown;
  readonly id?: unknown;
}

/** Reads a frame: text, or binary with JSON in it. May throw; may answer nothing to drop the frame. */
export type MessageParser = (
  frame: Buffer | ArrayBuffer | Buffer[],
) => InboundMessage | undefined | void;

const LONGEST_ID = 256;

/** The id to answer with: short and plain, or none. */
export function messageId({ id }: InboundMessage): string | number | undefined {
  if (typeof id === 'number') return id;
  return typeof id === 'string' && id.length <= LONGEST_ID ? id : undefined;
}
