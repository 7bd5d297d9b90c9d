// Any arguments, as every emitter declares them: a narrower type would refuse emitters that fit.
// oxlint-disable-next-line typescript/no-explicit-any
export type SocketListener = (...args: any[]) => void;

/** The members of a socket that a manager uses. A `ws` WebSocket has them. */
export interface ManagedSocket {
  readonly readyState: number;
  /** The subprotocol that both sides have agreed on; empty, or missing, without one. */
  readonly protocol?: string;
  /** Bytes handed over but not yet taken by the operating system. */
  readonly bufferedAmount: number;
  /** Whether reading from the socket is paused. */
  readonly isPaused?: boolean;
  send(
    data: string | Buffer,
    options: { binary?: boolean | undefined } | undefined,
    callback?: (error?: Error | null) => void,
  ): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
  ping(): void;
  on(event: string, listener: SocketListener): unknown;
  off(event: string, listener: SocketListener): unknown;
}

/** `readyState` of an open socket, as in browsers and in `ws`. */
export const SOCKET_OPEN = 1;
/** `readyState` of a socket whose close handshake is under way. */
export const SOCKET_CLOSING = 2;
/** `readyState` of a closed socket. */
export const SOCKET_CLOSED = 3;

const METHODS = ['send', 'close', 'terminate', 'ping', 'on', 'off'] as const;

/** @throws {TypeError} naming the members that a socket lacks */
export function assertSocket(socket: ManagedSocket): void {
  const lacks = METHODS.filter((name) => typeof socket[name] !== 'function').map(
    (name) => `${name}()`,
  );
  if (typeof socket.readyState !== 'number') lacks.push('readyState');
  if (lacks.length === 0) return;
  throw new TypeError(
    `A manager needs a socket with the methods of a ws WebSocket; this one has no ${lacks.join(', ')}`,
  );
}
