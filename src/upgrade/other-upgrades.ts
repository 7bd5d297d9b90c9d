import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** Whether a request asks for a WebSocket, and not for another protocol. */
export function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

/** Whether bytes of a body come behind the head of a request. An upgrade has none; they would be taken for frames. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return (
    headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) !== 0)
  );
}

const ABOUT_THE_UPGRADE = new Set(['upgrade', 'http2-settings']);

/**
 * Serves a request that asks for another protocol as if it had not asked. A server may ignore `Upgrade` (RFC 9110,
 * section 7.8), but Node.js hands every upgrade to whoever listens for them, and has stopped reading the socket as
 * HTTP by then. So the head of the request is put back in front of what came after it, without the header, and the
 * server reads it anew. Java's HTTP client asks for `h2c` in its first request, `curl --http2` in every one.
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
  // TLS servers read HTTP from the sockets of this other event.
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket);
}
