import { headerLengthFor, writeHeader } from './frame-header.js';

/** First byte of a final frame with bytes in it: RFC 6455, section 5.2. */
const FINAL_BINARY = 0x82;

/** A binary message as a complete WebSocket frame, with its header. */
export class BinaryFrame {
  private constructor(
    /** The whole frame. */
    readonly bytes: Buffer,
    private readonly headerLength: number,
  ) {}

  /** Copies the bytes: the caller may change them afterwards. */
  static of(payload: Uint8Array): BinaryFrame {
    const headerLength = headerLengthFor(payload.byteLength);
    const bytes = Buffer.allocUnsafe(headerLength + payload.byteLength);
    writeHeader(bytes, FINAL_BINARY, payload.byteLength);
    bytes.set(payload, headerLength);
    return new BinaryFrame(bytes, headerLength);
  }

  /** The payload alone. */
  get payload(): Buffer {
    return this.bytes.subarray(this.headerLength);
  }

  get payloadLength(): number {
    return this.bytes.length - this.headerLength;
  }

  get length(): number {
    return this.bytes.length;
  }
}
