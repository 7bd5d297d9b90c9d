/**
 * What happens to a message while more than `outbound.streamLowWaterBytes` wait in the send buffer of the client's
 * socket:
 * - `'queue'`: it waits behind the others, up to `outbound.maxBufferedBytes`; the default.
 * - `'drop'`: it is not sent.
 * - `'latest'`: it is kept until there is room, in place of an earlier one of the same event and topic.
 */
export type SendPolicy = 'queue' | 'drop' | 'latest';

/** Options of `send` and `sendAsync`. */
export interface SendOptions {
  /** What happens while the reader is behind. Default: `'queue'`. */
  readonly policy?: SendPolicy | undefined;
}

/** The policy of one frame; with `latest`, the key of the messages of which only the newest is kept. */
export type FramePolicy = 'drop' | { readonly latest: string };

/**
 * A {@link FramePolicy} inside of a process: the key may be an object, such as a stream. An item that was `'pulled'`
 * while little waited is written, however large it is.
 */
export type LocalPolicy = HoldingPolicy | 'pulled';
/** A policy by which a frame may not be written now. */
export type HoldingPolicy = 'drop' | { readonly latest: LatestKey };
export type LatestKey = string | object;

/**
 * Returns `undefined` for the default.
 *
 * @throws {TypeError} for a policy that does not exist
 */
export function framePolicy(
  options: SendOptions | undefined,
  event: string,
  topic = '',
): FramePolicy | undefined {
  const policy = options?.policy;
  if (policy === undefined || policy === 'queue') return undefined;
  if (policy === 'drop') return policy;
  // No name of a topic has control characters.
  if (policy === 'latest') return { latest: `${topic}\n${event}` };
  throw new TypeError(
    `Expected policy to be 'queue', 'drop' or 'latest', got ${String(policy).slice(0, 64)}.`,
  );
}
