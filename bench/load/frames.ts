// The part of RFC 6455 that a cheap client needs: outgoing frames are encoded once, and only the headers of
// incoming frames are parsed.
import { constants, deflateRawSync } from 'node:zlib';

/** The empty block at the end of a flush, which is not sent. */
const EMPTY_BLOCK_BYTES = 4;

export const Opcode = { TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

// Not zero: with a zero mask the server would have nothing to unmask.
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** The bit of the first byte that marks a compressed message. */
const COMPRESSED = 0x40;

/** Returns an encoded, masked frame. */
export function clientFrame(opcode: number, payload: Buffer | string): Buffer {
  return masked(opcode, Buffer.from(payload));
}

/** Returns the same, compressed as in RFC 7692 without context takeover. */
export function compressedFrame(opcode: number, payload: string): Buffer {
  const data = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH });
  return masked(opcode | COMPRESSED, data.subarray(0, -EMPTY_BLOCK_BYTES));
}

function masked(opcode: number, data: Buffer): Buffer {
  const header = headerOf(opcode, data.length);
  for (let index = 0; index < data.length; index += 1) data[index]! ^= MASK[index & 3]!;
  return Buffer.concat([header, MASK, data]);
}

function headerOf(opcode: number, length: number): Buffer {
  const first = 0x80 | opcode;
  if (length < 126) return Buffer.from([first, 0x80 | length]);
  if (length >= 65_536) throw new RangeError('The benchmark sends no messages of 64 KiB or more');
  return Buffer.from([first, 0x80 | 126, length >> 8, length & 0xff]);
}

/** Splits the bytes from a server into frames. */
export class FrameReader {
  #rest: Buffer | undefined;

  /** @param onFrame gets the payload as offsets into the buffer, because most clients never read it */
  constructor(
    private readonly onFrame: (opcode: number, data: Buffer, start: number, end: number) => void,
  ) {}

  push(chunk: Buffer): void {
    const data = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = undefined;
    let offset = 0;
    while (offset < data.length) {
      const start = payloadStart(data, offset);
      const end = start === undefined ? undefined : start + payloadLength(data, offset);
      if (start === undefined || end === undefined || end > data.length) {
        this.#rest = data.subarray(offset);
        return;
      }
      this.onFrame(data[offset]! & 0x0f, data, start, end);
      offset = end;
    }
  }
}

function payloadStart(data: Buffer, offset: number): number | undefined {
  if (data.length < offset + 2) return undefined;
  const start = offset + (data[offset + 1] === 126 ? 4 : 2);
  return start <= data.length ? start : undefined;
}

function payloadLength(data: Buffer, offset: number): number {
  const length = data[offset + 1]!;
  if (length > 126) throw new RangeError('The benchmark expects no messages of 64 KiB or more');
  return length === 126 ? data.readUInt16BE(offset + 2) : length;
}
