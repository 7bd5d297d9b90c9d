import type { ManagedSocket } from './managed-socket.js';
import { TextFrame } from './text-frame.js';
import { plainSenderOf } from './ws-internals.js';

/** Called when the operating system has the message, or will never have it. */
export type Written = (error?: Error | null) => void;

const TEXT = Object.freeze({ binary: false });

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
  const sender = plainSenderOf(socket);
  if (!sender) socket.send(typeof text === 'string' ? text : text.payload, TEXT, written);
  else sender.sendFrame([(typeof text === 'string' ? TextFrame.of(text) : text).bytes], written);
}
