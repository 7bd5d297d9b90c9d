import { WebSocket } from 'ws';

import type { TopicEvent } from '../cluster/topic-node.process.js';

interface Frame {
  readonly event: string;
  readonly data: TopicEvent & { readonly status?: string; readonly position?: string };
  readonly position?: string;
}

/** The events of a topic by their offset, as the first member to get each has seen them. */
export class TopicLog {
  readonly events = new Map<number, TopicEvent>();
  /** Their frames. All members get the same bytes. */
  readonly frames = new Map<number, Buffer>();
  epoch: string | undefined;
  head = 0;
}

const LONGEST_PAUSE_MS = 200;

/**
 * A client in one topic, which comes back with its last position whenever its connection ends. It keeps no frames, but
 * compares each one with its position, and with what the other members of its topic have got.
 */
export class TopicMember {
  /** What it must never see: an event twice, out of order or missing without a gap, or another event than others. */
  readonly faults: string[] = [];
  gaps = 0;
  resumes = 0;
  received = 0;
  offset: number | undefined;
  #socket: WebSocket | undefined;
  #isStopped = false;

  constructor(
    readonly userId: string,
    readonly topic: string,
    private readonly log: TopicLog,
    /** Returns the base URL for the next connection. */
    private readonly nextUrl: () => string,
  ) {}

  /** Whether it has got everything that any member of its topic has got. */
  get isUpToDate(): boolean {
    return this.offset !== undefined && this.offset === this.log.head;
  }

  start(): void {
    if (this.#isStopped) return;
    const options = { perMessageDeflate: false, skipUTF8Validation: true };
    const socket = new WebSocket(`${this.nextUrl()}?user=${this.userId}`, options);
    this.#socket = socket;
    socket.on('open', () => this.#subscribe(socket));
    socket.on('message', (text: Buffer) => {
      // Frames that arrive after `cut()` are lost, as on a network.
      if (this.#socket === socket) this.#hear(text);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => setTimeout(() => this.start(), Math.random() * LONGEST_PAUSE_MS));
  }

  /** Cuts the connection without a close frame. */
  cut(): void {
    this.#socket?.terminate();
    this.#socket = undefined;
  }

  stop(): void {
    this.#isStopped = true;
    this.cut();
  }

  #subscribe(socket: WebSocket): void {
    const { topic, offset } = this;
    const position = offset === undefined ? undefined : `${this.log.epoch}.${offset}`;
    socket.send(JSON.stringify({ event: 'subscribe', id: 1, data: { topic, position } }));
  }

  #hear(text: Buffer): void {
    const next = (this.offset ?? 0) + 1;
    // Nearly all frames are the next event, as another member has got it: they are not parsed again.
    if (this.log.frames.get(next)?.equals(text)) {
      this.offset = next;
      this.received += 1;
      return;
    }
    const { event, data, position } = JSON.parse(text.toString()) as Frame;
    if (event === 'n') this.#take(data, position!, text);
    else if (event === 'subscribed') this.offset ??= this.#offsetIn(data.position!);
    else if (event === 'resume') this.#resume(data.status!, this.#offsetIn(position!));
    else if (event !== 'presence') this.#fault(`got ${event} ${JSON.stringify(data)}`);
  }

  #resume(status: string, offset: number): void {
    this.resumes += 1;
    if (status === 'gap') this.gaps += 1;
    else if (offset !== this.offset)
      this.#fault(`recovered at ${offset} instead of ${this.offset}`);
    this.offset = offset;
  }

  #take(data: TopicEvent, position: string, text: Buffer): void {
    const offset = this.#offsetIn(position);
    if (offset !== this.offset! + 1) this.#fault(`got ${offset} after ${this.offset}`);
    this.offset = offset;
    this.received += 1;
    const { events, frames } = this.log;
    if (frames.has(offset)) {
      if (!frames.get(offset)!.equals(text)) {
        this.#fault(`got another event at ${offset} than others`);
      }
    } else {
      events.set(offset, data);
      frames.set(offset, Buffer.from(text));
    }
    this.log.head = Math.max(this.log.head, offset);
  }

  // Redis loses nothing in these tests, so a topic keeps its epoch.
  #offsetIn(position: string): number {
    const [epoch, offset] = position.split('.');
    this.log.epoch ??= epoch;
    if (epoch !== this.log.epoch) this.#fault(`got the epoch ${epoch}, not ${this.log.epoch}`);
    return Number(offset);
  }

  #fault(text: string): void {
    if (this.faults.length < 5) this.faults.push(`${this.userId} in ${this.topic} ${text}`);
  }
}
