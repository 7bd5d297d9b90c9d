import { type ServerOptions, WebSocket, type WebSocketServer } from 'ws';

import { LONGEST_DELAY_MS } from '../time/clock.js';
import type { ResolvedOptions } from '../config/isolation.options.js';
import type { VerifyRequest } from '../handshake/app-answer.js';
import { boundFrames } from './frame-bounds.js';
import { isolatedSocketOf } from './isolated-socket.js';
import { chooseProtocol } from './subprotocol.js';
import { verifyingWith } from './verify-client.js';

/**
 * Sets the options of a `ws` server for isolated gateways: those that the app has given, and the safer defaults of this
 * library for the others.
 *
 * @returns the app's `verifyClient`, which the handshake calls, because `ws` is called only after the decision
 */
export function isolateServer(
  webSocketServer: WebSocketServer,
  given: Readonly<ServerOptions>,
  { inbound, cleanup, handshake }: ResolvedOptions,
): VerifyRequest | undefined {
  boundFrames(webSocketServer, given, inbound.maxPayloadBytes);
  const { WebSocket: Base = WebSocket } = webSocketServer.options;
  const { credentialProtocols } = handshake;
  // Also for a client that sends its close frame first: `ws` would wait 30 s for the client to hang up.
  const { closeTimeout = cleanup.closeTimeoutMs } = given as { closeTimeout?: number };
  const { handleProtocols = (offered) => chooseProtocol(offered, credentialProtocols) } = given;
  Object.assign(webSocketServer.options, {
    WebSocket: isolatedSocketOf(Base),
    closeTimeout: Math.min(LONGEST_DELAY_MS, closeTimeout),
    handleProtocols,
    verifyClient: undefined,
  });
  return given.verifyClient ? verifyingWith(given.verifyClient) : undefined;
}
