import { BinaryFrame } from './binary-frame.js';
import { giveBack, mayReuse, memoryFor } from './frame-memory.js';
import type { ManagedSocket } from './managed-socket.js';
import { TextFrame } from './text-frame.js';
import { type FrameSender, plainSenderOf, transportOf } from './ws-internals.js';

/** A message to any number of connections: its text, or bytes. */
export type Message = string | BinaryFrame;

/** A message that is ready to be sent: its text, or a complete WebSocket frame. */
export type Frame = Message | TextFrame;

/** Called when the operating system has taken the message, or with an error when it never will. */
export type Written = (error?: Error | null) => void;

const TEXT = Object.freeze({ binary: false });
const BINARY = Object.freeze({ binary: true });

/**
 * Sends a frame, and returns the bytes of its payload. `ws` makes a header for every receiver, and writes header and
 * payload as two buffers in one system call. Here the complete frame is one buffer, made once and written as it is. Where that is not possible, the payload goes
 * through `send()`: the connection compresses, an app or a tracing agent has replaced `send()`, or the internals of
 * `ws` have changed.
 */
export function writeFrame(socket: ManagedSocket, frame: Frame, written?: Written): number {
  const sender = plainSenderOf(socket);
  if (sender) {
    if (typeof frame === 'string') return writeText(socket, sender, frame, written);
    sender.sendFrame([frame.bytes], written);
    return frame.payloadLength;
  }
  if (typeof frame === 'string') {
    socket.send(frame, TEXT, written);
    return Buffer.byteLength(frame);
  }
  socket.send(frame.payload, frame instanceof BinaryFrame ? BINARY : TEXT, written);
  return frame.payloadLength;
}

/**
 * Writes a text that only this connection gets. Beyond the pool of Node, memory for each frame is expensive: it is taken
 * from the system, and given back by the garbage collector, which cost a seventh of an echo of 4 KiB. So such frames use
 * the same memory, unless the operating system has not taken the whole frame when the write returns.
 */
function writeText(
  socket: ManagedSocket,
  sender: FrameSender,
  text: string,
  written: Written | undefined,
): number {
  const length = Buffer.byteLength(text);
  const size = TextFrame.sizeFor(length);
  const transport = transportOf(socket);
  const memory = transport && mayReuse(transport, size) ? memoryFor(size) : undefined;
  const bytes = memory ? memory.subarray(0, size) : Buffer.allocUnsafe(size);
  TextFrame.write(bytes, text, length);
  sender.sendFrame([bytes], written);
  if (memory && transport?.writableLength === 0) giveBack(memory);
  return length;
}
