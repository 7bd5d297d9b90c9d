import { headerLengthFor, writeHeader } from './frame-header.js';

/** First byte of a final frame with bytes in it: RFC 6455, section 5.2. */
const FINAL_BINARY = 0x82;

/** The key of binary frames among the kept ones, in place of an event: the name of no event has a line feed only. */
export const BINARY_KEY = '\n';

/** A binary message as a complete WebSocket frame, with its header. */
export class BinaryFrame {
  private constructor(
    /** The whole frame. */
    readonly bytes: Buffer,
    private readonly headerLength: number,
  ) {}

  /**
   * Copies the bytes: the caller may change them afterwards.
   *
   * @throws {TypeError} for a value that is no `Uint8Array` or `ArrayBuffer`
   */
  static of(bytes: Uint8Array | ArrayBuffer): BinaryFrame {
    const payload = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes;
    if (!(payload instanceof Uint8Array)) {
      throw new TypeError(`Expected bytes as a Uint8Array or an ArrayBuffer, got ${typeof bytes}.`);
    }
    const headerLength = headerLengthFor(payload.byteLength);
    const frame = Buffer.allocUnsafe(headerLength + payload.byteLength);
    writeHeader(frame, FINAL_BINARY, payload.byteLength);
    frame.set(payload, headerLength);
    return new BinaryFrame(frame, headerLength);
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
