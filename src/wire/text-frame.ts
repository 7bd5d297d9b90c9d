import { headerLengthFor, writeHeader } from './frame-header.js';

/** First byte of a final frame with text in it: RFC 6455, section 5.2. */
const FINAL_TEXT = 0x81;

/** A text message as a complete WebSocket frame, with its header: made once, for any number of receivers. */
export class TextFrame {
  private constructor(
    /** The whole frame. */
    readonly bytes: Buffer,
    private readonly headerLength: number,
  ) {}

  static of(text: string): TextFrame {
    const length = Buffer.byteLength(text);
    const bytes = Buffer.allocUnsafe(TextFrame.sizeFor(length));
    TextFrame.write(bytes, text, length);
    return new TextFrame(bytes, headerLengthFor(length));
  }

  /** Bytes of the frame of a text of this length. */
  static sizeFor(length: number): number {
    return headerLengthFor(length) + length;
  }

  /** Writes the frame of a text, which takes all of `bytes`. */
  static write(bytes: Buffer, text: string, length: number): void {
    writeHeader(bytes, FINAL_TEXT, length);
    bytes.write(text, headerLengthFor(length));
  }

  /** The text alone, in UTF-8. */
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
