import { BinaryFrame } from './binary-frame.js';
import type { ManagedSocket } from './managed-socket.js';
import { TextFrame } from './text-frame.js';
import { plainSenderOf } from './ws-internals.js';

/** A message to any number of connections: its text, or bytes. */
export type Message = string | BinaryFrame;

/** A message that is ready to be sent: its text, or a complete WebSocket frame. */
export type Frame = Message | TextFrame;

/** Called when the operating system has taken the message, or with an error when it never will. */
export type Written = (error?: Error | null) => void;

const TEXT = Object.freeze({ binary: false });
const BINARY = Object.freeze({ binary: true });

/**
 * Sends a frame, and returns the bytes of its payload. `ws` makes a header for every receiver and writes header and payload as two buffers in one system call.
 * Here the complete frame is one buffer, made once and written as it is. Where that is not possible, the payload goes
 * through `send()`: the connection compresses, an app or a tracing agent has replaced `send()`, or the internals of
 * `ws` have changed.
 */
export function writeFrame(socket: ManagedSocket, frame: Frame, written?: Written): number {
  const sender = plainSenderOf(socket);
  if (sender) {
    const encoded = typeof frame === 'string' ? TextFrame.of(frame) : frame;
    sender.sendFrame([encoded.bytes], written);
    return encoded.payloadLength;
  }
  if (typeof frame === 'string') {
    socket.send(frame, TEXT, written);
    return Buffer.byteLength(frame);
  }
  socket.send(frame.payload, frame instanceof BinaryFrame ? BINARY : TEXT, written);
  return frame.payloadLength;
}
