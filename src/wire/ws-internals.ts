import type { Duplex } from 'node:stream';

import * as ws from 'ws';

import type { ManagedSocket } from './managed-socket.js';

// Everything that this library knows about the internals of `ws`. `unit/ws-internals.spec.ts` fails when `ws` changes.
// In an app with another version, a missing internal is not used: frames go through `send()`, and a connection ends a
// little slower.

type Extensions = Readonly<Record<string, unknown>>;

/** Internal fields of a `ws` socket. */
interface Inside {
  /** False for the socket of a client, which has to mask its frames. */
  readonly _isServer: boolean;
  readonly _sender: FrameSender;
  readonly _receiver: { _extensions: Extensions; _fragments: unknown[] };
  _extensions: Extensions;
  readonly _closeFrameReceived: boolean;
  readonly _socket: Transport | null;
}

/** The object that writes the frames of a socket. Socket.IO relies on it as well. */
export interface FrameSender {
  readonly _state: number;
  /** False in the middle of a message that the app sends in fragments. */
  readonly _firstFragment: boolean;
  _extensions: Extensions;
  readonly send: unknown;
  sendFrame(pieces: Buffer[], written?: (error?: Error | null) => void): void;
}

/** The stream that carries the frames: a socket of `node:net` or `node:tls`. */
export interface Transport extends Duplex {
  readonly bytesRead?: number;
  /** Internal handle of Node; `null` or missing once the socket is closed. */
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/** What {@link shareNoExtensions} sets. */
const NO_EXTENSIONS: Extensions = Object.freeze({});
/** `_state` of a sender while nothing waits to be compressed or read. */
const IDLE = 0;
const COMPRESSION = 'permessage-deflate';
/** Name of the listener that `ws` adds for the end of the stream from a client. */
const END_LISTENER = 'socketOnEnd';

const { send: sendOfSocket } = ws.WebSocket.prototype as { readonly send: unknown };
// `ws` exports `Sender`; its type declarations do not.
const { Sender } = ws as unknown as { readonly Sender: { readonly prototype: FrameSender } };
const { send: sendOfSender } = Sender.prototype;

/**
 * Whether both `send()` functions were those of `ws` when this file was loaded. A tracing agent that is loaded first
 * (`node --import agent`) has replaced them by then. Only the source text shows that, because the original is kept
 * nowhere: the functions of `ws` contain these calls, a wrapper calls the function that it wraps.
 */
const isSendOfWs =
  isWrittenWith(sendOfSocket, '_sender.send(') && isWrittenWith(sendOfSender, 'this.dispatch(');

/**
 * The sender of a socket, where it can take a complete frame: the connection does not compress, and neither an app nor
 * a tracing agent has replaced `send()`. `undefined` otherwise.
 */
export function plainSenderOf(socket: ManagedSocket): FrameSender | undefined {
  if (!isSendOfWs || socket.send !== sendOfSocket) return undefined;
  const { _isServer: isServer, _sender: sender } = socket as Partial<Inside>;
  return isServer === true && sender && isPlain(sender) ? sender : undefined;
}

/** The stream that carries the frames of a socket; `undefined` where it is unknown. */
export function transportOf(socket: object): Transport | undefined {
  return (socket as Partial<Inside>)._socket ?? undefined;
}

/**
 * Call it when a socket has been closed. Where both sides have sent a close frame, `ws` ends the transport when its own
 * frame is written. When the client hangs up, `ws` would do so again and end its receiver twice, which makes two errors
 * with stacks that no code reads. Therefore this takes off the listener that would do so.
 */
export function endOnce(socket: object): void {
  const { _closeFrameReceived: isAnswered, _socket: transport } = socket as Partial<Inside>;
  if (!isAnswered || !transport) return;
  const listener = transport.listeners('end').find(({ name }) => name === END_LISTENER);
  if (listener) transport.off('end', listener as () => void);
}

/**
 * Call it when a socket is bound. `ws` keeps an object for the extensions in every socket, 56 bytes, also where none was
 * agreed on: then the socket gets one that all of them share.
 */
export function shareNoExtensions(socket: object): void {
  const { _extensions: agreed, _sender: sender, _receiver: receiver } = socket as Partial<Inside>;
  if (!agreed || sender?._extensions !== agreed || receiver?._extensions !== agreed) return;
  for (const _name in agreed) return;
  (socket as Partial<Inside>)._extensions = NO_EXTENSIONS;
  sender._extensions = NO_EXTENSIONS;
  receiver._extensions = NO_EXTENSIONS;
}

/** The array in which `ws` collects the pieces of the next message; `undefined` where it is unknown. */
export function piecesOf(socket: object): unknown[] | undefined {
  const pieces = (socket as Partial<Inside>)._receiver?._fragments;
  return Array.isArray(pieces) ? pieces : undefined;
}

/**
 * Call it for each message, with the {@link piecesOf} the socket before its first one: `ws` collects the next message in
 * this array again. Otherwise it makes a new array after each message, which waits for the next one of its connection.
 * With many connections that is so long that V8 moves such arrays to the old objects, or makes them there. From there
 * each keeps the bytes of its message until the next full collection, although nothing refers to it any more: with 1,000
 * connections and messages of 4 KiB, that made an echo cost a quarter more.
 */
export function reusePieces(socket: object, pieces: unknown[]): void {
  const { _receiver: receiver } = socket as Partial<Inside>;
  if (receiver?._fragments?.length !== 0) return;
  // Setting `length` would leave optimised code for the runtime, with each message.
  while (pieces.length > 0) pieces.pop();
  receiver._fragments = pieces;
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
