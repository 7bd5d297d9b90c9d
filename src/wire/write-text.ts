import type { ManagedSocket } from './managed-socket.js';
import { TextFrame } from './text-frame.js';
import { plainSenderOf } from './ws-internals.js';

/** Called when the operating system has taken the message, or with an error when it never will. */
export type Written = (error?: Error | null) => void;

const TEXT = Object.freeze({ binary: false });

/**
 * Sends a text. `ws` makes a header for every receiver and writes header and text as two buffers in one system call.
 * Here the complete frame is one buffer, made once and written as it is. Where that is not possible, the text goes
 * through `send()`: the connection compresses, an app or a tracing agent has replaced `send()`, or the internals of
 * `ws` have changed.
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
