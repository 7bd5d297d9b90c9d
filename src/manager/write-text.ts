import * as ws from 'ws';

import type { ManagedSocket } from './managed-socket.js';
import { TextFrame } from './text-frame.js';

/** Called when the operating system has the message, or will never have it. */
export type Written = (error?: Error | null) => void;

/** The inside of a `ws` socket. */
interface Inside {
  /** Clients have to mask what they send. */
  readonly _isServer: boolean;
  readonly _sender: FrameSender;
}

/** What Socket.IO relies on as well. */
interface FrameSender {
  readonly _state: number;
  /** False in the middle of a message that the app sends in fragments. */
  readonly _firstFragment: boolean;
  readonly _extensions: Readonly<Record<string, unknown>>;
  readonly send: unknown;
  sendFrame(pieces: Buffer[], written?: Written): void;
}

/** `_state` while nothing waits to be compressed or read. */
const IDLE = 0;
const COMPRESSION = 'permessage-deflate';
const TEXT = Object.freeze({ binary: false });
const { send: sendOfSocket } = ws.WebSocket.prototype as { readonly send: unknown };
// `ws` exports it, its types do not.
const { Sender } = ws as unknown as { readonly Sender: { readonly prototype: FrameSender } };
const { send: sendOfSender } = Sender.prototype;

/**
 * Whether both `send()` functions were `ws`'s own when this file was loaded. A tracing agent that is loaded first
 * (`node --import agent`) has put its own in their place by then. Only the source text can tell, since nothing else
 * keeps the original: the functions of `ws` contain these calls, a wrapper calls the function that it wraps.
 */
const isSendOfWs =
  isWrittenWith(sendOfSocket, '_sender.send(') && isWrittenWith(sendOfSender, 'this.dispatch(');

/**
 * Sends a text. `ws` makes a header for every receiver and writes it beside the text, in a system call
 * for several pieces; a frame in one piece is made once and written as it is. The text goes through `send()` where
 * that is not possible: the connection compresses, an app or a tracing agent has replaced `send()`, or `ws` has
 * changed inside.
 */
export function writeText(
  socket: ManagedSocket,
  text: string | TextFrame,
  written?: Written,
): void {
  const sender = senderOf(socket);
  if (!sender) socket.send(typeof text === 'string' ? text : text.payload, TEXT, written);
  else sender.sendFrame([(typeof text === 'string' ? TextFrame.of(text) : text).bytes], written);
}

function senderOf(socket: ManagedSocket): FrameSender | undefined {
  if (!isSendOfWs || socket.send !== sendOfSocket) return undefined;
  const { _isServer: isServer, _sender: sender } = socket as Partial<Inside>;
  return isServer === true && sender && isPlain(sender) ? sender : undefined;
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
