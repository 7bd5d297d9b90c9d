import type { ManagedSocket } from '../wire/managed-socket.js';
import { transportOf } from '../wire/ws-internals.js';

/** Bytes that a socket had read, and had still to write, at one moment. */
export interface Transfer {
  readonly readBytes: number;
  /** Bytes passed to the socket that are not completely written. */
  readonly bufferedBytes: number;
  /** Bytes of the current write that the operating system has not accepted: decreases while a large frame is sent. */
  readonly queuedBytes: number;
}

/** The transfer of a socket at this moment. Reads only counters that the socket keeps anyway. */
export function transferOf(socket: ManagedSocket): Transfer {
  const transport = transportOf(socket);
  return {
    readBytes: transport?.bytesRead ?? 0,
    bufferedBytes: socket.bufferedAmount,
    queuedBytes: transport?._handle?.writeQueueSize ?? 0,
  };
}

/**
 * Whether bytes have moved in either direction: the peer has sent some, or has accepted some of the bytes that waited
 * for it. Bytes that were only passed to the operating system prove nothing about the peer.
 */
export function hasMoved(before: Transfer, now: Transfer): boolean {
  if (now.readBytes !== before.readBytes) return true;
  if (before.bufferedBytes === 0) return false;
  return now.bufferedBytes < before.bufferedBytes || now.queuedBytes !== before.queuedBytes;
}
