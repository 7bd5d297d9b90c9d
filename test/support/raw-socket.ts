import { connect, type Socket } from 'node:net';

/** A TCP client that sends raw bytes and keeps the bytes it has received. */
export class RawSocket {
  isClosed = false;
  readonly #chunks: Buffer[] = [];

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    socket.on('close', () => (this.isClosed = true));
    socket.on('error', () => undefined);
  }

  static open(port: number): Promise<RawSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      const raw = new RawSocket(socket);
      socket.once('connect', () => resolve(raw));
      socket.once('error', reject);
    });
  }

  /** All received bytes. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get received(): string {
    return this.bytes.toString('latin1');
  }

  write(text: string | Buffer): void {
    this.socket.write(text);
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** The status of the HTTP response; `undefined` until it has arrived. */
  get status(): number | undefined {
    const match = /^HTTP\/1\.1 (\d{3})/.exec(this.received);
    return match ? Number(match[1]) : undefined;
  }
}

/** Returns an upgrade request with changed or added headers. The value `undefined` omits a header. */
export function upgradeRequest(
  path: string,
  headers: Record<string, string | string[] | undefined> = {},
  line = `GET ${path} HTTP/1.1`,
): string {
  const all: Record<string, string | string[] | undefined> = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    [value ?? []].flat().map((text) => `${name}: ${text}`),
  );
  return `${[line, ...lines].join('\r\n')}\r\n\r\n`;
}

/** The parts of a client's frame. Bits that the protocol forbids can be set. */
export interface FrameParts {
  readonly opcode?: number;
  readonly fin?: boolean;
  /** RSV1, RSV2, RSV3 as the upper bits of the first byte: 0x40, 0x20, 0x10. */
  readonly rsv?: number;
  readonly masked?: boolean;
  /** The length in the header, if it is to differ from the payload's length. */
  readonly claimedLength?: number;
}

/** Returns the bytes of a valid or invalid frame (RFC 6455, section 5.2). */
export function frame(payload: Buffer | string, parts: FrameParts = {}): Buffer {
  const { opcode = 1, fin = true, rsv = 0, masked = true } = parts;
  const body = Buffer.from(payload);
  const length = parts.claimedLength ?? body.length;
  const head = [(fin ? 0x80 : 0) | rsv | opcode];
  const maskBit = masked ? 0x80 : 0;
  if (length < 126) head.push(maskBit | length);
  else if (length < 65_536) head.push(maskBit | 126, length >> 8, length & 0xff);
  else {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(length));
    head.push(maskBit | 127, ...bytes);
  }
  if (!masked) return Buffer.concat([Buffer.from(head), body]);
  const mask = Buffer.from([1, 2, 3, 4]);
  const masking = body.map((byte, index) => byte ^ mask[index % 4]!);
  return Buffer.concat([Buffer.from(head), mask, masking]);
}

export const textFrame = (text: string): Buffer => frame(text);

/** Returns the codes of the close frames that a server has sent after its HTTP response. */
export function closeFrames(received: Buffer): number[] {
  const codes: number[] = [];
  let at = received.indexOf('\r\n\r\n') + 4;
  while (at + 1 < received.length) {
    const [first, second] = [received[at]!, received[at + 1]!];
    let [length, start] = [second, at + 2];
    if (second === 126) [length, start] = [received.readUInt16BE(start), start + 2];
    else if (second === 127) [length, start] = [received.readUInt32BE(start + 4), start + 8];
    if ((first & 0x0f) === 8 && length >= 2) codes.push(received.readUInt16BE(start));
    at = start + length;
  }
  return codes;
}
