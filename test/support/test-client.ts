import { type ClientOptions, WebSocket } from 'ws';

import { eventually } from './eventually.js';

export interface ReceivedMessage {
  readonly event: string;
  readonly data: never;
}

/** A stock `ws` client that remembers what it got. */
export class TestClient {
  readonly messages: ReceivedMessage[] = [];
  closeCode: number | undefined;
  closeReason: string | undefined;
  #taken = 0;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (frame: Buffer) => {
      this.messages.push(JSON.parse(frame.toString()) as ReceivedMessage);
    });
    socket.on('close', (code, reason) => {
      this.closeCode = code;
      this.closeReason = reason.toString();
    });
    socket.on('error', () => undefined);
  }

  /** Resolves when the socket is open; rejects with the status when it is refused. */
  static open(url: string, options: ClientOptions = {}): Promise<TestClient> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, options);
      const client = new TestClient(socket);
      socket.once('open', () => resolve(client));
      socket.once('unexpected-response', (request, response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => {
          request.destroy();
          reject(new UpgradeRefused(response.statusCode!, response.headers, body));
        });
      });
      socket.once('error', reject);
    });
  }

  send(event: string, data?: unknown, id?: unknown): void {
    this.socket.send(JSON.stringify({ event, data, id }));
  }

  /** The next message that was not taken yet. */
  async next(timeoutMs?: number): Promise<ReceivedMessage> {
    await eventually(() => {
      if (this.messages.length <= this.#taken) throw new Error('no message came');
    }, timeoutMs);
    this.#taken += 1;
    return this.messages[this.#taken - 1]!;
  }

  /** Sends and takes the next message. */
  ask(event: string, data?: unknown, id?: unknown): Promise<ReceivedMessage> {
    this.send(event, data, id);
    return this.next();
  }

  /** Resolves to the code when the socket is closed. */
  async closed(timeoutMs?: number): Promise<number> {
    await eventually(() => {
      if (this.closeCode === undefined) throw new Error('the socket is still open');
    }, timeoutMs);
    return this.closeCode!;
  }

  async close(code = 1000): Promise<void> {
    this.socket.close(code);
    await this.closed();
  }

  /** Cuts the connection without a goodbye. */
  terminate(): void {
    this.socket.terminate();
  }
}

export class UpgradeRefused extends Error {
  constructor(
    readonly status: number,
    readonly headers: NodeJS.Dict<string | string[]>,
    readonly body: string,
  ) {
    super(`refused with ${status}`);
  }
}
