import { WebSocket } from 'ws';

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
  sendFrame(pieces: Buffer[], written?: Written): void;
}

/** `_state` while nothing waits to be compressed or read. */
const IDLE = 0;
const COMPRESSION = 'permessage-deflate';
const TEXT = Object.freeze({ binary: false });
const { send: sendOfWs } = WebSocket.prototype as { readonly send: unknown };

/**
 * Sends a text. `ws` makes a header for every receiver and writes it beside the text, in a system call
 * for several pieces; a frame in one piece is made once and written as it is. Where that is not
 * possible, because the connection compresses, somebody has put a `send()` of their own in its place, or `ws`
 * has changed inside, the text goes through `send()`.
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
  const { _isServer: isServer, _sender: sender } = socket as Partial<Inside>;
  const isPlain =
    isServer === true &&
    socket.send === sendOfWs &&
    sender?._state === IDLE &&
    sender._firstFragment &&
    sender._extensions !== undefined &&
    sender._extensions[COMPRESSION] === undefined &&
    typeof sender.sendFrame === 'function';
  return isPlain ? sender : undefined;
}
