import { PATH, type Protocol } from '../candidates/candidate.js';

/** What differs between clients of Nest's `WsAdapter` and of Socket.IO. */
export interface Dialect {
  target(userId: string): string;
  /** Sent as soon as the server has said something, to be admitted; `undefined` where 101 is enough. */
  readonly hello: string | undefined;
  /** The answer to a ping that is a message. */
  readonly pong: string | undefined;
  /** Whether a text is a message of the application. */
  isMessage(data: Buffer, start: number, end: number): boolean;
  /** A message whose frame has so many bytes of payload. */
  echo(bytes: number): string;
}

const [OPEN, PING, MESSAGE, CONNECT, EVENT] = ['0', '2', '4', '0', '2'].map((type) =>
  type.charCodeAt(0),
) as [number, number, number, number, number];

function padded(bytes: number, frame: (text: string) => string): string {
  return frame('x'.repeat(bytes - frame('').length));
}

const plain: Dialect = {
  target: (userId) => `${PATH}?user=${userId}`,
  hello: undefined,
  pong: undefined,
  isMessage: () => true,
  echo: (bytes) => padded(bytes, (text) => JSON.stringify({ event: 'echo', data: { text } })),
};

const socketIo: Dialect = {
  target: (userId) => `/socket.io/?EIO=4&transport=websocket&user=${userId}`,
  hello: '40',
  pong: '3',
  isMessage: (data, start) => data[start] === MESSAGE && data[start + 1] === EVENT,
  echo: (bytes) => padded(bytes, (text) => `42${JSON.stringify(['echo', { text }])}`),
};

export const dialects: Readonly<Record<Protocol, Dialect>> = {
  plain,
  'socket.io': socketIo,
};

/** What a Socket.IO server says that is not a message of the application. */
export function controlOf(data: Buffer, start: number): 'open' | 'connected' | 'ping' | undefined {
  if (data[start] === OPEN) return 'open';
  if (data[start] === PING) return 'ping';
  return data[start] === MESSAGE && data[start + 1] === CONNECT ? 'connected' : undefined;
}
