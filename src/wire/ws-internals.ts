import type { Duplex } from 'node:stream';

import * as ws from 'ws';

import type { ManagedSocket } from './managed-socket.js';

// Everything that the library knows of the inside of `ws`. `unit/ws-internals.spec.ts` fails when `ws` changes; in an app
// with another version, what is not there is done without: frames go through `send()`, and a connection ends a little
// slower.

/** The fields of a `ws` socket. */
interface Inside {
  /** Clients have to mask what they send. */
  readonly _isServer: boolean;
  readonly _sender: FrameSender;
  readonly _closeFrameReceived: boolean;
  readonly _socket: Transport | null;
}

/** What sends the frames of a socket. Socket.IO relies on it as well. */
export interface FrameSender {
  readonly _state: number;
  /** False in the middle of a message that the app sends in fragments. */
  readonly _firstFragment: boolean;
  readonly _extensions: Readonly<Record<string, unknown>>;
  readonly send: unknown;
  sendFrame(pieces: Buffer[], written?: (error?: Error | null) => void): void;
}

/** What carries the frames: a socket of `node:net` or `node:tls`. */
export interface Transport extends Duplex {
  readonly bytesRead?: number;
  /** Node's own; gone when the socket is. */
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/** `_state` of a sender while nothing waits to be compressed or read. */
const IDLE = 0;
const COMPRESSION = 'permessage-deflate';
/** How `ws` calls its listener for the end of what a client sends. */
const END_LISTENER = 'socketOnEnd';

const { send: sendOfSocket } = ws.WebSocket.prototype as { readonly send: unknown };
// `ws` exports it, its types do not.
const { Sender } = ws as unknown as { readonly Sender: { readonly prototype: FrameSender } };
const { send: sendOfSender } = Sender.prototype;

/**
 * Whether both `send()` functions were those of `ws` when this file was loaded. A tracing agent that is loaded first
 * (`node --import agent`) has put its own in their place by then. Only the source text can tell, since nothing else
 * keeps the original: the functions of `ws` contain these calls, a wrapper calls the function that it wraps.
 */
const isSendOfWs =
  isWrittenWith(sendOfSocket, '_sender.send(') && isWrittenWith(sendOfSender, 'this.dispatch(');

/**
 * The sender of a socket, where a whole frame can be handed to it: the connection does not compress, and neither an app
 * nor a tracing agent has replaced `send()`.
 */
export function plainSenderOf(socket: ManagedSocket): FrameSender | undefined {
  if (!isSendOfWs || socket.send !== sendOfSocket) return undefined;
  const { _isServer: isServer, _sender: sender } = socket as Partial<Inside>;
  return isServer === true && sender && isPlain(sender) ? sender : undefined;
}

/** What carries the frames of a socket; `undefined` where it is not known. */
export function transportOf(socket: object): Transport | undefined {
  return (socket as Partial<Inside>)._socket ?? undefined;
}

/**
 * Call it when a socket has been closed. Where both sides have said goodbye, `ws` ends the transport when its own frame is
 * out. It would do so again when the client hangs up, and end its receiver twice: two errors with their stacks, which
 * nothing reads.
 */
export function endOnce(socket: object): void {
  const { _closeFrameReceived: isAnswered, _socket: transport } = socket as Partial<Inside>;
  if (!isAnswered || !transport) return;
  const listener = transport.listeners('end').find(({ name }) => name === END_LISTENER);
  if (listener) transport.off('end', listener as () => void);
}

function isPlain(sender: FrameSender): boolean {
  return (
    sender.send === sendOfSender &&
    sender._state === IDLE &&
    sender._firstFragment &&
    sender._extensions !== undefined &&
    sender._extensions[COMPRESSION] === undefined &&
    typeof sender.sendFrame === 'function'
  );
}

function isWrittenWith(send: unknown, call: string): boolean {
  return typeof send === 'function' && Function.prototype.toString.call(send).includes(call);
}
