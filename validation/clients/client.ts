import { type ClientOptions, WebSocket } from 'ws';

/** A message of the server: an event and its data. */
export interface Received {
  readonly event: string;
  readonly data: unknown;
}

/** The response to a refused upgrade request. */
export interface Refused {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: string;
}

/** The deadline for a reply, in milliseconds. After it, the check fails. */
const ANSWER_MS = 10_000;

/** A stock `ws` client that keeps the messages it has received. */
export class Client {
  readonly received: Received[] = [];
  /** The close code, once the socket has closed. */
  closeCode: number | undefined;
  #talk: NodeJS.Timeout | undefined;
  #taken = 0;
  #onMessage: (() => void) | undefined;
  readonly closed: Promise<number>;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (frame: Buffer) => {
      this.received.push(JSON.parse(frame.toString()) as Received);
      this.#onMessage?.();
    });
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', (code) => {
        this.closeCode = code;
        this.stopTalking();
        this.#onMessage?.();
        resolve(code);
      });
    });
  }

  /** Resolves with an open client, or with the refusal. */
  static open(url: string, options: ClientOptions = {}): Promise<Client | Refused> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, options);
      const client = new Client(socket);
      socket.once('open', () => resolve(client));
      socket.once('error', reject);
      socket.once('unexpected-response', (request, response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => {
          request.destroy();
          resolve({
            status: response.statusCode!,
            retryAfter: response.headers['retry-after'],
            body,
          });
        });
      });
    });
  }

  /** Like {@link open}, but rejects if the connection is refused. */
  static async mustOpen(url: string, options?: ClientOptions): Promise<Client> {
    const opened = await Client.open(url, options);
    if (opened instanceof Client) return opened;
    throw new Error(`A connection was refused with ${opened.status}: ${opened.body}`);
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(event: string, data?: unknown): void {
    this.socket.send(JSON.stringify({ event, data }));
  }

  /** Sends a message and resolves with the next message from the server. */
  async ask(event: string, data?: unknown): Promise<Received> {
    this.send(event, data);
    if (this.received.length <= this.#taken) await this.#next(event);
    this.#taken += 1;
    return this.received[this.#taken - 1]!;
  }

  /** Sends a message once per `everyMs`, so that the connection does not become idle. */
  keepTalking(everyMs: number): void {
    this.#talk = setInterval(() => this.isOpen && this.send('tick'), everyMs);
  }

  stopTalking(): void {
    clearInterval(this.#talk);
  }

  /** Closes the connection. Resolves with the close code. */
  close(): Promise<number> {
    this.stopTalking();
    this.socket.close(1000);
    return this.closed;
  }

  #next(event: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`No answer to "${event}" within ${ANSWER_MS} ms`)),
        ANSWER_MS,
      );
      this.#onMessage = () => {
        clearTimeout(timer);
        this.#onMessage = undefined;
        if (this.received.length > this.#taken) resolve();
        else reject(new Error(`Closed with ${this.closeCode} before "${event}" was answered`));
      };
    });
  }
}
