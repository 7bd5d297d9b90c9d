import { Socket } from 'node:net';
import { Duplex } from 'node:stream';

import type { Transport } from './ws-internals.js';

/** Bytes. Many shorter frames share one allocation of Node's pool; of longer ones, few do or none. */
const SHORTEST = 1_024;
const LONGEST = 65_536;

const { write } = Duplex.prototype as { readonly write: unknown };
const { _write: writeToHandle } = Socket.prototype as { readonly _write: unknown };

/** By size: the memory of the last frame of that size, while no stream refers to it. The sizes are powers of two. */
const unused: (Buffer | undefined)[] = [];

/**
 * Whether a frame may be encoded in memory that is used again. The stream must be one of Node's own for a connection: it
 * keeps nothing of a chunk that the operating system has taken. A stream that the app made, or that a tracing agent or a
 * test has changed, may keep the chunk. Nothing may wait in the stream, so that at most one frame of a slow reader keeps
 * up to twice its size.
 */
export function mayReuse(transport: Transport, length: number): boolean {
  return (
    length >= SHORTEST &&
    length <= LONGEST &&
    transport.write === write &&
    transport._write === writeToHandle &&
    transport.writableLength === 0
  );
}

/** Memory for a frame, with up to twice the length. {@link giveBack} it when nothing refers to it any more. */
export function memoryFor(length: number): Buffer {
  const size = sizeOf(length);
  const memory = unused[size] ?? Buffer.allocUnsafeSlow(2 ** size);
  // Not before it is given back: a write may call code that sends another frame.
  unused[size] = undefined;
  return memory;
}

/** The next frame of this size is written to this memory. */
export function giveBack(memory: Buffer): void {
  unused[sizeOf(memory.length)] = memory;
}

function sizeOf(length: number): number {
  return 32 - Math.clz32(length - 1);
}
