import type { Socket } from 'node:net';

import { type ClientOptions, WebSocket } from 'ws';

import { type Release, systemClock } from '../time/clock.js';
import { patienceMs } from './patience.js';
import { nameOf, readFrame, type ReceivedMessage } from './received-message.js';
import { readSlowly } from './slow-reader.js';
import { UpgradeRefused } from './upgrade-refused.js';

/** Checks a waiting condition again. Called after each message and at the end of the connection. */
type Watcher = () => void;

/** How many messages an error names. */
const MESSAGES_NAMED = 20;

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
export class TestClient {
  /** All messages received, taken or not. */
  readonly messages: ReceivedMessage[] = [];
  /** `undefined` while the connection is open. */
  closeCode: number | undefined;
  closeReason: string | undefined;
  // Indexes in `messages`. All messages before `#firstUntaken` are taken, and after it those in `#takenEarly`.
  #firstUntaken = 0;
  readonly #takenEarly = new Set<number>();
  readonly #watchers = new Set<Watcher>();
  #transport: Socket | undefined;
  #requests = 0;

  private constructor(
    /** The `ws` client. */
    readonly socket: WebSocket,
  ) {
    socket.on('upgrade', (response) => {
      this.#transport = response.socket;
    });
    socket.on('message', (frame: Buffer, isBinary: boolean) => {
      this.messages.push(readFrame(frame, isBinary));
      this.#changed();
    });
    socket.on('close', (code, reason) => {
      this.closeCode = code;
      this.closeReason = reason.toString();
      this.#changed();
    });
    socket.on('error', () => undefined);
  }

  /**
   * Connects. Resolves when the socket is open.
   *
   * @throws {UpgradeRefused} with the status and the body of the response
   */
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

  /**
   * Takes the next message that was not taken yet; with `event`, the next message of that event.
   *
   * @param timeoutMs default: 5 seconds, see {@link setPatience}
   * @throws {Error} that names the messages received instead, when the time is up or the connection ends
   */
  next(event?: string, timeoutMs: number = patienceMs()): Promise<ReceivedMessage> {
    return this.#when(() => this.#take(event), {
      timeoutMs,
      what: event === undefined ? 'message' : `"${event}"`,
      endsWithConnection: true,
    });
  }

  /** Sends a message, and takes the next one received. */
  ask(event: string, data?: unknown, id?: unknown): Promise<ReceivedMessage> {
    this.send(event, data, id);
    return this.next();
  }

  /**
   * Subscribes to a topic. Resolves to the data of the reply.
   *
   * @param position the last one that an earlier connection has received
   * @throws {Error} with the code of the refusal in its text
   */
  async subscribe(topic: string, position?: string): Promise<{ topic: string; position?: string }> {
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
    return this.#when(() => this.closeCode, {
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
    this.send(event, data, id);
    const reply = await this.#when(() => this.#replyTo(id), {
      timeoutMs: patienceMs(),
      what: `reply to the ${what}`,
      endsWithConnection: true,
    });
    if (reply.event !== 'exception') return reply.data;
    const { code, message } = reply.data as { code: string; message: string };
    throw new Error(`The ${what} was refused with ${code}: ${message}`);
  }

  #replyTo(id: string): ReceivedMessage | undefined {
    return this.#takeFirst((message) => message?.id === id || message?.data?.id === id);
  }

  #take(event: string | undefined): ReceivedMessage | undefined {
    return this.#takeFirst((message) => event === undefined || message?.event === event);
  }

  #takeFirst(
    // A message may be any JSON value, `null` too.
    isWanted: (message: ReceivedMessage | null) => boolean,
  ): ReceivedMessage | undefined {
    for (let place = this.#firstUntaken; place < this.messages.length; place += 1) {
      const message = this.messages[place]!;
      if (!isWanted(message) || this.#takenEarly.has(place)) continue;
      this.#takenEarly.add(place);
      while (this.#takenEarly.delete(this.#firstUntaken)) this.#firstUntaken += 1;
      return message;
    }
    return undefined;
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #when<T>(
    look: () => T | undefined,
    wait: { timeoutMs: number; what: string; endsWithConnection: boolean },
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = (when: string): void => {
        stop();
        reject(new Error(`No ${wait.what} came ${when}. ${this.#situation()}`));
      };
      const cancel = systemClock.after(wait.timeoutMs, () => giveUp(`within ${wait.timeoutMs} ms`));
      const stop = (): void => {
        cancel();
        this.#watchers.delete(watch);
      };
      const watch = (): void => {
        const found = look();
        if (found !== undefined) {
          stop();
          resolve(found);
        } else if (wait.endsWithConnection && this.closeCode !== undefined) {
          giveUp('before the connection ended');
        }
      };
      this.#watchers.add(watch);
      watch();
    });
  }

  #situation(): string {
    const state =
      this.closeCode === undefined
        ? 'The connection is open'
        : `The connection ended with ${this.closeCode} "${this.closeReason}"`;
    const waiting = this.messages
      .filter((_, place) => place >= this.#firstUntaken && !this.#takenEarly.has(place))
      .map(nameOf);
    const more = waiting.length > MESSAGES_NAMED ? `, … (${waiting.length})` : '';
    const named = waiting.slice(0, MESSAGES_NAMED).join(', ');
    return `${state}; not taken yet: ${named || 'nothing'}${more}.`;
  }
}
