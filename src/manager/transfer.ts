import type { ManagedSocket } from '../wire/managed-socket.js';
import { transportOf } from '../wire/ws-internals.js';

/** What a socket had read, and still had to write, at one moment. */
export interface Transfer {
  readonly readBytes: number;
  /** Handed over to the socket, and not written yet as a whole. */
  readonly bufferedBytes: number;
  /** Of the write under way, what the operating system has not taken yet: shrinks while a large frame goes out. */
  readonly queuedBytes: number;
}

/** The transfer of a socket at this moment. A few reads of counters that the socket keeps anyway. */
export function transferOf(socket: ManagedSocket): Transfer {
  const transport = transportOf(socket);
  return {
    readBytes: transport?.bytesRead ?? 0,
    bufferedBytes: socket.bufferedAmount,
    queuedBytes: transport?._handle?.writeQueueSize ?? 0,
  };
}

/**
 * Whether bytes have moved in either direction: the peer has sent some, or has taken some of what had waited for it
 * already. What is only handed to the operating system says nothing about the peer.
 */
export function hasMoved(before: Transfer, now: Transfer): boolean {
  if (now.readBytes !== before.readBytes) return true;
  if (before.bufferedBytes === 0) return false;
  return now.bufferedBytes < before.bufferedBytes || now.queuedBytes !== before.queuedBytes;
}
