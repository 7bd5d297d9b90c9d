import { connect, type Socket } from 'node:net';

import type { Protocol } from '../candidates/candidate.js';
import { controlOf, type Dialect, dialects } from './dialect.js';
import { clientFrame, FrameReader, Opcode } from './frames.js';

const HEAD_END = '\r\n\r\n';
const DEFLATE_OFFER =
  '\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover';
const CLOSE_FRAME = clientFrame(Opcode.CLOSE, Buffer.from([0x03, 0xe8]));
/** How often a slow reader reads. */
const SLOW_READ_MS = 50;
const PONG_FRAME = clientFrame(Opcode.PONG, '');

/** The port and protocol of a client's server, its user id, and the loopback address it connects from. */
export interface ClientTarget {
  readonly port: number;
  readonly protocol: Protocol;
  readonly userId: string;
  readonly localAddress: string;
  /** Whether the client offers compression, without context takeover. */
  readonly deflates?: boolean | undefined;
}

/** A WebSocket client that uses as little processor time as possible, so that the server gets it. */
export class LoadClient {
  /** Called for every message, with the place of its payload. */
  onMessage: (data: Buffer, start: number, end: number) => void = ignore;
  readonly #socket: Socket;
  readonly #dialect: Dialect;
  readonly #reader = new FrameReader((...frame) => this.#read(...frame));
  #opened: { resolve: (client: LoadClient) => void; reject: (error: Error) => void } | undefined;
  #closed: (() => void) | undefined;
  #head: string | undefined = '';

  private constructor(target: ClientTarget) {
    this.#dialect = dialects[target.protocol];
    this.#socket = connect({
      host: '127.0.0.1',
      port: target.port,
      localAddress: target.localAddress,
      noDelay: true,
    });
    this.#socket.on('data', (chunk: Buffer) => this.#received(chunk));
    this.#socket.on('error', (error) => this.#opened?.reject(error));
    this.#socket.on('close', () => {
      this.#opened?.reject(new Error(`The server hung up: ${this.#head ?? 'after 101'}`));
      this.#closed?.();
    });
    this.#socket.write(
      `GET ${this.#dialect.target(target.userId)} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\n` +
        'Connection: Upgrade\r\nUpgrade: websocket\r\nUser-Agent: bench\r\n' +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==` +
        `${target.deflates ? DEFLATE_OFFER : ''}${HEAD_END}`,
    );
  }

  /**
   * Resolves when the server has admitted the client.
   *
   * @param onMessage the first message may come before this resolves
   */
  static open(target: ClientTarget, onMessage?: LoadClient['onMessage']): Promise<LoadClient> {
    return new Promise((resolve, reject) => {
      const client = new LoadClient(target);
      if (onMessage) client.onMessage = onMessage;
      client.#opened = { resolve, reject };
    });
  }

  /** Sends an encoded frame. */
  send(frame: Buffer): void {
    this.#socket.write(frame);
  }

  /** From now on, reads no faster than this. */
  readSlowly(bytesPerSecond: number): void {
    let allowed = 0;
    this.#socket.on('data', ({ length }: Buffer) => {
      allowed -= length;
      if (allowed < 0) this.#socket.pause();
    });
    const timer = setInterval(() => {
      allowed += (bytesPerSecond * SLOW_READ_MS) / 1000;
      if (allowed > 0) this.#socket.resume();
    }, SLOW_READ_MS);
    this.#socket.once('close', () => clearInterval(timer));
  }

  /** Sends a close frame and resolves when the socket has closed. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.closed) {
        resolve();
        return;
      }
      this.#closed = resolve;
      this.#socket.write(CLOSE_FRAME);
    });
  }

  #received(chunk: Buffer): void {
    if (this.#head === undefined) {
      this.#reader.push(chunk);
      return;
    }
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf(HEAD_END);
    if (end === -1 || !this.#head.startsWith('HTTP/1.1 101')) return;
    const rest = Buffer.from(this.#head.slice(end + HEAD_END.length), 'latin1');
    this.#head = undefined;
    if (this.#dialect.hello === undefined) this.#admitted();
    this.#reader.push(rest);
  }

  #read(opcode: number, data: Buffer, start: number, end: number): void {
    if (opcode === Opcode.PING) this.send(PONG_FRAME);
    else if (opcode !== Opcode.TEXT && opcode !== Opcode.BINARY) return;
    else if (this.#dialect.isMessage(data, start, end)) this.onMessage(data, start, end);
    else this.#control(controlOf(data, start));
  }

  #control(control: ReturnType<typeof controlOf>): void {
    if (control === 'open') this.send(clientFrame(Opcode.TEXT, this.#dialect.hello!));
    else if (control === 'ping') this.send(clientFrame(Opcode.TEXT, this.#dialect.pong!));
    else if (control === 'connected') this.#admitted();
  }

  #admitted(): void {
    this.#opened?.resolve(this);
    this.#opened = undefined;
  }
}

export function ignore(): void {
  // The default handler: messages are dropped.
}
