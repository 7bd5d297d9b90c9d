import { setImmediate as turn } from 'node:timers/promises';

import { eventually } from 'nestjs-websocket-isolation/testing';
import { type ClientOptions, WebSocket } from 'ws';

import type { Transcript } from './transcript.js';

const PATIENCE_MS = 10_000;
/** Round trips after which whatever a frame has set off without a timer has happened. */
const ROUND_TRIPS = 3;

/** What clients do in a scenario. Everything they see goes into the transcript. */
export class Session {
  readonly #clients: ScriptedClient[] = [];

  constructor(
    /** Where the app listens: `ws://host:port`. */
    readonly url: string,
    readonly transcript: Transcript,
  ) {}

  /**
   * Connects a client, and waits until it has seen what came first. It is the user of its name. A refusal
   * is written down like everything else.
   *
   * @param path of the gateway, or a whole address
   * @param protocols the subprotocols that it offers
   */
  async connect(...args: Parameters<Session['connectOnly']>): Promise<ScriptedClient> {
    const client = await this.connectOnly(...args);
    await client.quiet();
    return client;
  }

  /** The same without a ping, which a server may leave without an answer. */
  async connectOnly(
    name: string,
    path = '/',
    options: ClientOptions = {},
    protocols: readonly string[] = [],
  ): Promise<ScriptedClient> {
    const url = new URL(path, this.url);
    if (!url.searchParams.has('user')) url.searchParams.set('user', name);
    const socket = new WebSocket(url.href, [...protocols], options);
    const client = new ScriptedClient(name, this.transcript, socket);
    this.#clients.push(client);
    await client.opened;
    return client;
  }

  /** Where a page of this app comes from. */
  get httpOrigin(): string {
    return this.url.replace(/^ws/, 'http');
  }

  /** Writes down what is seen by other means than a client. */
  note(line: string, lane = 'script'): void {
    this.transcript.write(lane, line);
  }

  /** Waits until something has happened in the server, or long enough. */
  async noted(line: string): Promise<void> {
    await eventually(() => {
      if (!this.transcript.read('server').includes(line)) throw new Error(`no "${line}"`);
    }).catch(() => undefined);
  }

  /** Ends the clients that are there still. */
  async end(): Promise<void> {
    for (const client of this.#clients) await client.close();
    for (let turns = 0; turns < ROUND_TRIPS; turns += 1) await turn();
  }
}

/** A client whose frames and end are written down. */
export class ScriptedClient {
  /** Resolves when it is connected, refused or gone. */
  readonly opened: Promise<void>;
  #frames = 0;
  #taken = 0;

  constructor(
    readonly name: string,
    private readonly transcript: Transcript,
    readonly socket: WebSocket,
  ) {
    const write = (line: string): void => transcript.write(name, line);
    socket.on('message', (data: Buffer, isBinary) => {
      this.#frames += 1;
      write(isBinary ? `< binary ${data.toString('hex')}` : `< ${data.toString()}`);
    });
    this.opened = new Promise((resolve) => {
      socket.once('open', () => {
        write(socket.protocol ? `open, protocol ${socket.protocol}` : 'open');
        resolve();
      });
      socket.once('unexpected-response', (request, response) => {
        write(`refused with ${response.statusCode}`);
        // `ws` leaves it to its listener, and the socket as it was.
        this.#isRefused = true;
        response.resume();
        request.destroy();
        resolve();
      });
      socket.once('error', (error: NodeJS.ErrnoException) => {
        if (socket.readyState !== WebSocket.OPEN) write(`failed: ${error.code ?? error.message}`);
        resolve();
      });
    });
    socket.on('error', () => undefined);
    socket.on('close', (code, reason) => {
      if (code !== 1006 || this.#wasOpen) write(`closed ${code} "${reason.toString()}"`);
    });
    socket.once('open', () => (this.#wasOpen = true));
  }

  #wasOpen = false;
  #isRefused = false;

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Sends a message, and waits until what it set off has happened. */
  send(event: unknown, data?: unknown): Promise<void> {
    return this.sendRaw(JSON.stringify({ event, data }));
  }

  /** Sends a message that is answered, however long that takes: the first use of a pipe may load a package. */
  async ask(event: unknown, data?: unknown): Promise<void> {
    const expected = this.#frames + 1;
    await this.send(event, data);
    await this.#received(expected);
    await this.quiet();
  }

  /** Sends a frame as it is. */
  async sendRaw(frame: string | Buffer): Promise<void> {
    const text = typeof frame === 'string' ? frame : `binary ${frame.toString('hex')}`;
    this.transcript.write(this.name, `> ${text.length > 200 ? `${text.slice(0, 200)}…` : text}`);
    if (!this.isOpen) return;
    this.socket.send(frame);
    await this.quiet();
  }

  /** Waits for some more frames than have been waited for, or until the connection or the time is over. */
  async until(count: number): Promise<void> {
    this.#taken += count;
    await this.#received(this.#taken);
  }

  async #received(count: number): Promise<void> {
    await eventually(() => {
      if (this.#frames < count && this.isOpen) throw new Error('not yet');
    }, PATIENCE_MS).catch(() => undefined);
  }

  /** Waits until nothing that is on its way without a timer can still come. */
  async quiet(): Promise<void> {
    for (let trip = 0; trip < ROUND_TRIPS && this.isOpen; trip += 1) await this.#roundTrip();
    this.#taken = this.#frames;
  }

  #roundTrip(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.socket.off('pong', done).off('close', done);
        resolve();
      };
      const timer = setTimeout(done, PATIENCE_MS);
      this.socket.on('pong', done).on('close', done);
      this.socket.ping();
    });
  }

  /** Waits until the connection has ended. */
  async closed(): Promise<void> {
    if (this.#isRefused) return;
    await eventually(() => {
      if (this.socket.readyState !== WebSocket.CLOSED) throw new Error('open');
    }, PATIENCE_MS).catch(() => this.transcript.write(this.name, 'never closed'));
  }

  /** Says goodbye, and waits for the end. */
  async close(code = 1000): Promise<void> {
    if (this.isOpen) this.socket.close(code);
    await this.closed();
  }
}
