import type { ServerOptions, WebSocketServer } from 'ws';

import { LARGEST_FRAME_BYTES } from '../config/option-rules.js';

/** Smallest bound for the pieces (fragments or buffered chunks) in which a message may arrive. */
const LEAST_PIECES = 1_024;
/** Above that bound, one piece is allowed for each of so many bytes of `maxPayload`. */
const BYTES_PER_PIECE = 64;

/** The options of `ws` that bound one message. */
interface FrameBounds {
  readonly maxPayload: number;
  readonly maxFragments: number;
  readonly maxBufferedChunks: number;
}

/**
 * Bounds the memory of one unfinished message, unless the app has given other bounds: in bytes, and in pieces, because
 * a message that arrives in pieces of one byte costs a hundred times its size.
 */
export function boundFrames(
  server: WebSocketServer,
  given: Readonly<ServerOptions>,
  maxPayloadBytes: number,
): void {
  const maxPayload = Math.min(LARGEST_FRAME_BYTES, given.maxPayload ?? maxPayloadBytes);
  const pieces = Math.max(LEAST_PIECES, Math.ceil(maxPayload / BYTES_PER_PIECE));
  const bounds: FrameBounds = { maxPayload, maxFragments: pieces, maxBufferedChunks: pieces };
  Object.assign(server.options, { ...bounds, ...pick(given as Partial<FrameBounds>, bounds) });
}

function pick(given: Partial<FrameBounds>, bounds: FrameBounds): Partial<FrameBounds> {
  const names = Object.keys(bounds) as (keyof FrameBounds)[];
  return Object.fromEntries(
    names
      .filter((name) => given[name] !== undefined)
      .map((name) => [name, Math.min(LARGEST_FRAME_BYTES, given[name]!)]),
  );
}
