import type { ManagedSocket } from './managed-socket.js';
import { type Transport, transportOf } from './ws-internals.js';

/**
 * Writes what a socket is given in one turn of the event loop with one system call, instead of one for each frame: a
 * source that has many items ready makes many small frames. Nothing waits for longer than that turn, so a frame that is
 * followed by none is not delayed.
 */
export class GatheredWrites {
  #held: Transport | undefined = undefined;

  constructor(private readonly socket: ManagedSocket) {}

  /** Holds back what is written from now on, until the code that runs has ended. */
  hold(): void {
    if (this.#held) return;
    const transport = transportOf(this.socket);
    if (!transport || transport.destroyed) return;
    this.#held = transport;
    transport.cork();
    // Runs when no promise of a source has anything left to do.
    process.nextTick(this.flush);
  }

  /** Writes what was held back. */
  readonly flush = (): void => {
    const transport = this.#held;
    this.#held = undefined;
    transport?.uncork();
  };
}

/** Writes what is held back on a socket. Returns false where nothing is. */
export function writeHeld(socket: ManagedSocket): boolean {
  const transport = transportOf(socket);
  if (!transport) return false;
  const isHeld = transport.writableCorked > 0;
  while (transport.writableCorked > 0) transport.uncork();
  return isHeld;
}
