import { isThenable } from '../structures/maybe-async.js';
import { BinaryFrame } from './binary-frame.js';
import type { ManagedSocket } from './managed-socket.js';
import type { InboundMessage } from './message-parser.js';
import { TextFrame } from './text-frame.js';
import type { Frame } from './write-frame.js';

/** Another encoding of messages than JSON, for the connections that agree on a subprotocol. */
export interface Codec {
  /** The subprotocol: a client gets it with `new WebSocket(url, ['msgpack'])`. */
  readonly subprotocol: string;
  /**
   * Encodes a message: an object with `event`, `data` and what else the frame has, as JSON expresses it. Text becomes a
   * text frame, bytes become a binary frame. Synchronous.
   */
  encode(message: unknown): string | Uint8Array;
  /** Decodes a frame, text or binary, into `{ event, data, id }`. Throws for a frame that is no message. Synchronous. */
  decode(frame: Buffer): unknown;
}

/** A codec of the app threw, or returned something else than text, bytes or a message. */
export class CodecFault extends Error {
  override readonly name = 'CodecFault';
}

/** The codecs of the app, by subprotocol. */
export class Codecs {
  readonly #codecs: ReadonlyMap<string, Codec>;
  // Frames for several receivers are encoded once per codec.
  readonly #encoded = new WeakMap<TextFrame, Map<Codec, Frame>>();

  constructor(codecs: readonly Codec[]) {
    this.#codecs = new Map(codecs.map((codec) => [codec.subprotocol, codec]));
  }

  /** The codec that a connection has agreed on; `undefined`: JSON. */
  of({ protocol }: Pick<ManagedSocket, 'protocol'>): Codec | undefined {
    return protocol ? this.#codecs.get(protocol) : undefined;
  }

  /** @throws {CodecFault} where the codec throws or returns neither text nor bytes */
  encode(frame: string | TextFrame, codec: Codec): Frame {
    if (typeof frame === 'string') return encodeWith(codec, frame);
    let frames = this.#encoded.get(frame);
    if (!frames) this.#encoded.set(frame, (frames = new Map<Codec, Frame>()));
    const known = frames.get(codec);
    if (known !== undefined) return known;
    const made = encodeWith(codec, frame.payload.toString());
    const shared = typeof made === 'string' ? TextFrame.of(made) : made;
    frames.set(codec, shared);
    return shared;
  }
}

/** @throws {CodecFault} where the codec returns no message. What the codec throws: the frame is no message. */
export function decodeWith(codec: Codec, frame: Buffer): InboundMessage {
  const message: unknown = codec.decode(frame);
  if (typeof message === 'object' && message !== null && !isThenable(message)) {
    return message as InboundMessage;
  }
  if (isThenable(message)) Promise.resolve(message).catch(ignore);
  throw new CodecFault(`${nameOf(codec)}.decode() returned no message, but ${kindOf(message)}.`);
}

function encodeWith(codec: Codec, text: string): string | BinaryFrame {
  let made: unknown;
  try {
    made = codec.encode(JSON.parse(text));
  } catch (error) {
    throw new CodecFault(`${nameOf(codec)}.encode() threw.`, { cause: error });
  }
  if (typeof made === 'string') return made;
  if (made instanceof Uint8Array) return BinaryFrame.of(made);
  if (isThenable(made)) Promise.resolve(made).catch(ignore);
  throw new CodecFault(
    `${nameOf(codec)}.encode() returned neither text nor bytes, but ${kindOf(made)}.`,
  );
}

function nameOf({ subprotocol }: Codec): string {
  return `The codec '${subprotocol}': codec`;
}

function kindOf(value: unknown): string {
  if (isThenable(value)) return 'a promise';
  return value === null ? 'null' : `a value of type ${typeof value}`;
}

function ignore(): void {
  // No code waits for this promise, and its rejection would end the process.
}
