import type { ServerOptions, WebSocketServer } from 'ws';

import { LARGEST_FRAME_BYTES } from '../config/option-rules.js';

/** Pieces, fragments or chunks, in which the smallest of messages may arrive. */
const LEAST_PIECES = 1_024;
/** Above that, one for so many bytes. */
const BYTES_PER_PIECE = 64;

/** The bounds of one message as `ws` knows them. */
interface FrameBounds {
  readonly maxPayload: number;
  readonly maxFragments: number;
  readonly maxBufferedChunks: number;
}

/**
 * Bounds what one unfinished message may cost, where the app has not said otherwise: in bytes, and in
 * pieces, because a message of single bytes costs a hundred times what it weighs.
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
