import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import type { WebSocket, WebSocketServer } from 'ws';

import type { Clock } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import { closeReasonText, httpAnswer, type Refusal } from '../handshake/refusal.js';
import { endWith } from './upgrade-router.js';

/** One upgrade request that is being handled. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
}

/** Refuses with an HTTP status: the client never gets a socket. */
export function refuseWithHttp({ socket }: Pick<Upgrade, 'socket'>, refusal: Refusal): void {
  endWith(socket, httpAnswer(refusal));
}

/** Accepts the upgrade and closes the socket at once: a browser can read a close code, but not an HTTP status. */
export function refuseWithClose(
  { request, socket, head }: Upgrade,
  refusal: Refusal,
  server: WebSocketServer,
  clock: Clock,
  closeTimeoutMs: number,
): void {
  try {
    server.handleUpgrade(request, socket, head, (client) => {
      dismiss(client, refusal.code, closeReasonText(refusal), clock, closeTimeoutMs);
    });
  } catch {
    // A `handleProtocols` of the app threw.
    refuseWithHttp({ socket }, refusal);
  }
}

/** Closes a socket that belongs to no connection, and cuts it if the peer does not reply in time. */
export function dismiss(
  client: WebSocket,
  code: number,
  reason: string,
  clock: Clock,
  closeTimeoutMs: number,
): void {
  client.on('error', () => client.terminate());
  const release = afterSilence(clock, closeTimeoutMs, () => client.terminate());
  client.once('close', release);
  client.close(code, reason);
}
