import { PATH, type Protocol } from '../candidates/candidate.js';

/** The differences between clients of Nest's `WsAdapter` and clients of Socket.IO. */
export interface Dialect {
  target(userId: string): string;
  /** The client sends this after the server's first message, to be admitted; `undefined` where a 101 is enough. */
  readonly hello: string | undefined;
  /** The reply to a ping that the server sends as a message; `undefined` where pings are WebSocket frames. */
  readonly pong: string | undefined;
  /** Whether a frame's payload is a message of the application. */
  isMessage(data: Buffer, start: number, end: number): boolean;
  /** Returns an echo message whose payload has this many bytes. */
  echo(bytes: number): string;
  /** The same as a request: with an id, or for Socket.IO with an acknowledgement. */
  request(bytes: number): string;
}

const [OPEN, PING, MESSAGE, CONNECT, EVENT, ACK] = ['0', '2', '4', '0', '2', '3'].map((type) =>
  type.charCodeAt(0),
) as [number, number, number, number, number, number];

function padded(bytes: number, frame: (text: string) => string): string {
  return frame('x'.repeat(bytes - frame('').length));
}

const plain: Dialect = {
  target: (userId) => `${PATH}?user=${userId}`,
  hello: undefined,
  pong: undefined,
  isMessage: () => true,
  echo: (bytes) => padded(bytes, (text) => JSON.stringify({ event: 'echo', data: { text } })),
  request: (bytes) =>
    padded(bytes, (text) => JSON.stringify({ event: 'echo', data: { text }, id: 1 })),
};

const socketIo: Dialect = {
  target: (userId) => `/socket.io/?EIO=4&transport=websocket&user=${userId}`,
  hello: '40',
  pong: '3',
  isMessage: (data, start) =>
    data[start] === MESSAGE && (data[start + 1] === EVENT || data[start + 1] === ACK),
  echo: (bytes) => padded(bytes, (text) => `42${JSON.stringify(['echo', { text }])}`),
  request: (bytes) => padded(bytes, (text) => `421${JSON.stringify(['request', { text }])}`),
};

export const dialects: Readonly<Record<Protocol, Dialect>> = {
  plain,
  'socket.io': socketIo,
};

/** Returns the kind of a Socket.IO control message; `undefined` for other payloads. */
export function controlOf(data: Buffer, start: number): 'open' | 'connected' | 'ping' | undefined {
  if (data[start] === OPEN) return 'open';
  if (data[start] === PING) return 'ping';
  return data[start] === MESSAGE && data[start + 1] === CONNECT ? 'connected' : undefined;
}
