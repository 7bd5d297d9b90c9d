import { IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';

import { PATH } from '../candidates/candidate.js';
import { clientFrame, Opcode } from './frames.js';

const CLOSE_FRAME = clientFrame(Opcode.CLOSE, Buffer.from([0x03, 0xe8]));
const HEADERS = {
  host: '127.0.0.1',
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

/**
 * A client without an operating system in between: what it sends is there at once, what it is sent is
 * counted and forgotten. What remains is the server's own code.
 */
export class MemoryClient extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  /** Writes of the server. The first is the answer to the upgrade. */
  writes = 0;

  constructor(server: Server, userId: string) {
    super({ allowHalfOpen: false });
    const request = new IncomingMessage(this as unknown as Socket);
    request.method = 'GET';
    request.httpVersion = '1.1';
    request.url = `${PATH}?user=${userId}`;
    request.headers = { ...HEADERS };
    request.rawHeaders = Object.entries(HEADERS).flat();
    server.emit('upgrade', request, this, Buffer.alloc(0));
  }

  /** Sends a frame that is ready for the wire. */
  send(frame: Buffer): void {
    // `ws` takes the mask off in place: the frame is to be sent again.
    this.push(Buffer.from(frame));
  }

  sayGoodbye(): void {
    this.send(CLOSE_FRAME);
  }

  // What a server may ask of a real socket.
  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  override _read(): void {
    // There is never more than what has been pushed.
  }

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes += 1;
    done();
  }

  override _writev(_chunks: unknown[], done: () => void): void {
    this.writes += 1;
    done();
  }

  // The server hangs up: so does the client.
  override _final(done: () => void): void {
    done();
    this.push(null);
  }
}

/** Lets the server go on until something has come true. */
export async function until(isTrue: () => boolean): Promise<void> {
  for (let turns = 0; !isTrue(); turns += 1) {
    if (turns > 100_000) throw new Error('The server does not answer');
    await turn();
  }
}
