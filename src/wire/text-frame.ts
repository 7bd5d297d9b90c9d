/** First byte of a final frame with text in it: RFC 6455, section 5.2. */
const FINAL_TEXT = 0x81;
/** Up to this length, the second byte holds the length itself. */
const SHORT_LENGTH = 125;
/** Value of the second byte where the length follows in two bytes. */
const TWO_BYTES = 126;
/** Value of the second byte where the length follows in eight bytes. */
const EIGHT_BYTES = 127;

/** A text message as a complete WebSocket frame, with its header: made once, for any number of receivers. */
export class TextFrame {
  private constructor(
    /** The whole frame. */
    readonly bytes: Buffer,
    private readonly headerLength: number,
  ) {}

  static of(text: string): TextFrame {
    const length = Buffer.byteLength(text);
    const headerLength = headerLengthFor(length);
    const bytes = Buffer.allocUnsafe(headerLength + length);
    bytes[0] = FINAL_TEXT;
    if (headerLength === 2) bytes[1] = length;
    else if (headerLength === 4) {
      bytes[1] = TWO_BYTES;
      bytes.writeUInt16BE(length, 2);
    } else {
      bytes[1] = EIGHT_BYTES;
      bytes.writeUInt32BE(0, 2);
      bytes.writeUInt32BE(length, 6);
    }
    bytes.write(text, headerLength);
    return new TextFrame(bytes, headerLength);
  }

  /** The text alone, in UTF-8. */
  get payload(): Buffer {
    return this.bytes.subarray(this.headerLength);
  }

  get length(): number {
    return this.bytes.length;
  }
}

function headerLengthFor(length: number): 2 | 4 | 10 {
  if (length <= SHORT_LENGTH) return 2;
  return length <= 0xffff ? 4 : 10;
}
