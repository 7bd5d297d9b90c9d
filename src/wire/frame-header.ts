/** Up to this length, the second byte of a frame holds the length itself: RFC 6455, section 5.2. */
const SHORT_LENGTH = 125;
/** Value of the second byte where the length follows in two bytes. */
const TWO_BYTES = 126;
/** Value of the second byte where the length follows in eight bytes. */
const EIGHT_BYTES = 127;

/** Length of the header of a frame that a server sends. */
export function headerLengthFor(length: number): 2 | 4 | 10 {
  if (length <= SHORT_LENGTH) return 2;
  return length <= 0xffff ? 4 : 10;
}

/** Writes the header of a frame to the start of `bytes`. */
export function writeHeader(bytes: Buffer, firstByte: number, length: number): void {
  bytes[0] = firstByte;
  const headerLength = headerLengthFor(length);
  if (headerLength === 2) bytes[1] = length;
  else if (headerLength === 4) {
    bytes[1] = TWO_BYTES;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = EIGHT_BYTES;
    bytes.writeUInt32BE(0, 2);
    bytes.writeUInt32BE(length, 6);
  }
}
