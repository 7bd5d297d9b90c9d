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
 * An in-memory client: no operating system sits between it and the server. Its frames reach the server at once; the
 * server's writes are counted and dropped. A measurement therefore contains the server's own code only.
 */
export class MemoryClient extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  /** The number of writes of the server. The first is the response to the upgrade request. */
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

  /** Sends an encoded frame. */
  send(frame: Buffer): void {
    // A copy, because `ws` unmasks in place and the same frame is sent again.
    this.push(Buffer.from(frame));
  }

  sayGoodbye(): void {
    this.send(CLOSE_FRAME);
  }

  // Methods of a real socket that a server may call.
  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  override _read(): void {
    // `send` pushes all data; there is nothing to read from.
  }

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes += 1;
    done();
  }

  override _writev(_chunks: unknown[], done: () => void): void {
    this.writes += 1;
    done();
  }

  // The server has ended the stream, so the client ends it too.
  override _final(done: () => void): void {
    done();
    this.push(null);
  }
}

/** Yields to the event loop until `isTrue` returns true. @throws after 100,000 turns */
export async function until(isTrue: () => boolean): Promise<void> {
  for (let turns = 0; !isTrue(); turns += 1) {
    if (turns > 100_000) throw new Error('The server does not answer');
    await turn();
  }
}
