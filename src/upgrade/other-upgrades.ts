import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** Whether a request asks for a WebSocket, and not for another protocol. */
export function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** Whether a request has a body. An upgrade request has none: the bytes of a body would be read as frames. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return (
    headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) !== 0)
  );
}

const ABOUT_THE_UPGRADE = new Set(['upgrade', 'http2-settings']);

/**
 * Serves a request that asks for another protocol as if it had no `Upgrade` header. A server may ignore that header
 * (RFC 9110, section 7.8), but Node.js passes every such request to the `upgrade` listeners, and has stopped reading
 * the socket as HTTP by then. So the head of the request is put back without the header, in front of the bytes that
 * followed it, and the server parses it again. Java's HTTP client asks for `h2c` in its first request, `curl --http2`
 * in every request.
 */
export function serveWithoutUpgrade(
  server: Server,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const { method = '', url = '', httpVersion, rawHeaders } = request;
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (!ABOUT_THE_UPGRADE.has(name.toLowerCase())) text += `${name}: ${rawHeaders[index + 1]}\r\n`;
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]));
  // A TLS server reads HTTP from the sockets of `secureConnection`.
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket);
}
