import type { Socket } from 'node:net';

import { type ClientOptions, WebSocket } from 'ws';

import type { AnyContract } from '../contract/contract.js';
import type {
  CallArgs,
  EventOf,
  NoContract,
  TopicName,
  WithoutContract,
} from '../contract/message-types.js';
import type { Release } from '../time/clock.js';
import { type ExpectedData, type ExpectedEvent, fitting } from './expected.js';
import { Inbox } from './inbox.js';
import { patienceMs } from './patience.js';
import type { ReceivedMessage } from './received-message.js';
import { readSlowly } from './slow-reader.js';
import { UpgradeRefused } from './upgrade-refused.js';

/** Options of a test client: those of `ws`, and a contract. */
export interface TestClientOptions<C extends AnyContract = NoContract> extends ClientOptions {
  /**
   * What goes over the connection, as `defineContract()` returns it: the types of messages come from it, and what the
   * server sends is checked when a test takes it.
   */
  readonly contract?: C | undefined;
  /** Subprotocols to offer, the token among them where the app takes it from there: `['bearer', token]`. */
  readonly protocols?: string | string[] | undefined;
}

/** The messages of clients to the library itself. */
export type LibraryRequest = 'subscribe' | 'unsubscribe' | 'renew' | 'cancel';

/**
 * A stock `ws` client that records the messages it receives, and that can behave badly: read slowly, freeze, be cut.
 *
 * @example
 * ```ts
 * const client = await app.connect('/chat?token=ada');
 * client.send('say', { text: 'hello' });
 * const { data } = await client.next('said');
 * ```
 */
export class TestClient<C extends AnyContract = NoContract> {
  readonly #inbox = new Inbox();
  #transport: Socket | undefined;
  #requests = 0;

  private constructor(
    /** The `ws` client. */
    readonly socket: WebSocket,
    private readonly contract: C | undefined,
  ) {
    socket.on('upgrade', (response) => {
      this.#transport = response.socket;
    });
    socket.on('message', (frame: Buffer, isBinary: boolean) => this.#inbox.add(frame, isBinary));
    socket.on('close', (code, reason) => this.#inbox.close(code, reason.toString()));
    socket.on('error', () => undefined);
  }

  /**
   * Connects. Resolves when the socket is open.
   *
   * @throws {UpgradeRefused} with the status and the body of the response
   */
  static open<C extends AnyContract = NoContract>(
    url: string,
    { contract, protocols = [], ...options }: TestClientOptions<C> = {},
  ): Promise<TestClient<C>> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, protocols, options);
      const client = new TestClient<C>(socket, contract);
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

  /** All messages received, taken or not, as they were received. */
  get messages(): ReceivedMessage[] {
    return this.#inbox.messages;
  }

  /** `undefined` while the connection is open. */
  get closeCode(): number | undefined {
    return this.#inbox.end?.code;
  }

  get closeReason(): string | undefined {
    return this.#inbox.end?.reason;
  }

  /** Sends a message. */
  send(event: WithoutContract<C> | LibraryRequest, data?: unknown, id?: unknown): void;
  send<Event extends EventOf<C['client']>>(
    event: Event,
    ...sent: CallArgs<C['client'], Event, unknown>
  ): void;
  send(event: string, data?: unknown, id?: unknown): void {
    this.#write({ event, data, id });
  }

  /**
   * Takes the next message that was not taken yet; with `event`, the next message of that event.
   *
   * @param timeoutMs default: 5 seconds, see {@link setPatience}
   * @throws {Error} that names the messages received instead, when the time is up or the connection ends; that names
   *   the faults, for data that does not fit the contract
   */
  next(event?: WithoutContract<C>, timeoutMs?: number): Promise<ReceivedMessage>;
  next<Event extends ExpectedEvent<C>>(
    event: Event,
    timeoutMs?: number,
  ): Promise<ReceivedMessage<ExpectedData<C, Event>>>;
  async next(event?: string, timeoutMs: number = patienceMs()): Promise<ReceivedMessage> {
    const message = await this.#inbox.when(
      () => this.#inbox.take((each) => event === undefined || each?.event === event),
      {
        timeoutMs,
        what: event === undefined ? 'message' : `"${event}"`,
        endsWithConnection: true,
      },
    );
    return this.contract ? fitting(this.contract, message) : message;
  }

  /** Sends a message, and takes the next one received. */
  ask(event: WithoutContract<C>, data?: unknown, id?: unknown): Promise<ReceivedMessage>;
  ask<Event extends EventOf<C['client']>>(
    event: Event,
    ...sent: CallArgs<C['client'], Event, unknown>
  ): Promise<ReceivedMessage>;
  ask(event: string, data?: unknown, id?: unknown): Promise<ReceivedMessage> {
    this.#write({ event, data, id });
    return this.next();
  }

  /** Answers a question that was received. Anything may be sent, to see what the app makes of it. */
  answer({ ask }: ReceivedMessage, data: unknown): void {
    this.#write({ event: 'answer', ask, data });
  }

  /**
   * Subscribes to a topic. Resolves to the data of the reply.
   *
   * @param position the last one that an earlier connection has received
   * @throws {Error} with the code of the refusal in its text
   */
  async subscribe(
    topic: TopicName<C>,
    position?: string,
  ): Promise<{ topic: string; position?: string }> {
    const what = `subscription to "${topic}"`;
    const reply = await this.#request('subscribe', { topic, position }, what);
    return reply as { topic: string; position?: string };
  }

  /**
   * Renews the identity of the connection. Resolves to the data of the reply.
   *
   * @param credentials what the authenticator's `renew` gets
   * @throws {Error} with the code of the refusal in its text
   */
  async renew(credentials?: unknown): Promise<{ expiresAt: number | null }> {
    const reply = await this.#request('renew', credentials, 'renewal');
    return reply as { expiresAt: number | null };
  }

  /** Resolves to the close code when the connection has ended. */
  closed(timeoutMs: number = patienceMs()): Promise<number> {
    return this.#inbox.when(() => this.closeCode, {
      timeoutMs,
      what: 'end of the connection',
      endsWithConnection: false,
    });
  }

  /** Sends a close frame, and waits until the connection has ended. */
  async close(code = 1000, reason?: string): Promise<void> {
    this.socket.close(code, reason);
    await this.closed();
  }

  /** Cuts the connection without a close frame, as a crash or a lost network does. */
  terminate(): void {
    this.socket.terminate();
  }

  /**
   * Stops reading while the connection stays open, as a laptop that is closed does: pings are not answered.
   *
   * @returns a function that resumes reading
   */
  freeze(): Release {
    this.socket.pause();
    return () => this.socket.resume();
  }

  /**
   * Limits the speed of reading, as a bad network does.
   *
   * @returns a function that restores full speed
   */
  readSlowly(bytesPerSecond: number): Release {
    if (!this.#transport) throw new Error('The connection is not open yet.');
    return readSlowly(this.#transport, bytesPerSecond);
  }

  async #request(event: string, data: unknown, what: string): Promise<unknown> {
    this.#requests += 1;
    const id = `${event}-${this.#requests}`;
    this.#write({ event, data, id });
    const isReply = (message: ReceivedMessage | null): boolean =>
      message?.id === id || message?.data?.id === id;
    const reply = await this.#inbox.when(() => this.#inbox.take(isReply), {
      timeoutMs: patienceMs(),
      what: `reply to the ${what}`,
      endsWithConnection: true,
    });
    if (reply.event !== 'exception') return reply.data;
    const { code, message } = reply.data as { code: string; message: string };
    throw new Error(`The ${what} was refused with ${code}: ${message}`);
  }

  #write(frame: object): void {
    this.socket.send(JSON.stringify(frame));
  }
}
