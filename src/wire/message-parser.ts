/** A message of a client. `id` is chosen by the client: the reply to a failed message carries it. */
export interface InboundMessage {
  readonly event: unknown;
  readonly data: unknown;
  readonly id?: unknown;
}

/** Parses a frame: text, or binary with JSON in it. May throw; returns `undefined` to drop the frame. */
export type MessageParser = (
  frame: Buffer | ArrayBuffer | Buffer[],
) => InboundMessage | undefined | void;

const LONGEST_ID = 256;

/** The id that a reply carries: a number, or a string of at most 256 characters; `undefined` for any other id. */
export function messageId({ id }: Pick<InboundMessage, 'id'>): string | number | undefined {
  if (typeof id === 'number') return id;
  return typeof id === 'string' && id.length <= LONGEST_ID ? id : undefined;
}
