import { setImmediate as turn } from 'node:timers/promises';

import { eventually } from 'nestjs-websocket-isolation/testing';
import { type ClientOptions, WebSocket } from 'ws';

import type { Transcript } from './transcript.js';

const PATIENCE_MS = 10_000;
/** The number of round trips after which all effects of a frame that need no timer have occurred. */
const ROUND_TRIPS = 3;

/** The clients of a scenario. Everything that they receive is recorded in the transcript. */
export class Session {
  readonly #clients: ScriptedClient[] = [];

  constructor(
    /** The base URL of the app: `ws://host:port`. */
    readonly url: string,
    readonly transcript: Transcript,
  ) {}

  /**
   * Connects a client, and waits until it has received the first messages. Its name is its user id. A refusal is
   * recorded like other events.
   *
   * @param path the path of the gateway, or a complete URL
   * @param protocols the subprotocols that the client offers
   */
  async connect(...args: Parameters<Session['connectOnly']>): Promise<ScriptedClient> {
    const client = await this.connectOnly(...args);
    await client.quiet();
    return client;
  }

  /** Like `connect`, but without pings, for servers that do not reply to them. */
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

  /** The origin of a page of this app. */
  get httpOrigin(): string {
    return this.url.replace(/^ws/, 'http');
  }

  /** Records an observation that no client makes. */
  note(line: string, lane = 'script'): void {
    this.transcript.write(lane, line);
  }

  /** Waits until the server has recorded a line, or until the timeout. */
  async noted(line: string): Promise<void> {
    await eventually(() => {
      if (!this.transcript.read('server').includes(line)) throw new Error(`no "${line}"`);
    }).catch(() => undefined);
  }

  /** Closes the clients that are still connected. */
  async end(): Promise<void> {
    for (const client of this.#clients) await client.close();
    for (let turns = 0; turns < ROUND_TRIPS; turns += 1) await turn();
  }
}

/** A client whose frames and close are recorded. */
export class ScriptedClient {
  /** Resolves when the client is connected, refused or disconnected. */
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
        // With this listener, `ws` does not end the request and does not change the state of the socket.
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

  /** Sends a message, and waits until its effects have occurred. */
  send(event: unknown, data?: unknown): Promise<void> {
    return this.sendRaw(JSON.stringify({ event, data }));
  }

  /** Sends a message and waits for a reply, which may be slow: the first use of a pipe may load a package. */
  async ask(event: unknown, data?: unknown): Promise<void> {
    const expected = this.#frames + 1;
    await this.send(event, data);
    await this.#received(expected);
    await this.quiet();
  }

  /** Sends a raw frame. */
  async sendRaw(frame: string | Buffer): Promise<void> {
    const text = typeof frame === 'string' ? frame : `binary ${frame.toString('hex')}`;
    this.transcript.write(this.name, `> ${text.length > 200 ? `${text.slice(0, 200)}…` : text}`);
    if (!this.isOpen) return;
    this.socket.send(frame);
    await this.quiet();
  }

  /** Waits for `count` more frames, until the connection has ended or the timeout. */
  async until(count: number): Promise<void> {
    this.#taken += count;
    await this.#received(this.#taken);
  }

  async #received(count: number): Promise<void> {
    await eventually(() => {
      if (this.#frames < count && this.isOpen) throw new Error('not yet');
    }, PATIENCE_MS).catch(() => undefined);
  }

  /** Waits until all effects that need no timer have occurred. */
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

  /** Closes the connection, and waits for the end. */
  async close(code = 1000): Promise<void> {
    if (this.isOpen) this.socket.close(code);
    await this.closed();
  }
}
