import type { Settings } from './options.js';

/** Why a message was dropped: too much waits already, or the client was closed before there was a connection. */
export type DropReason = 'queue-full' | 'closed';

/** A message of the app on its way to the server. */
export interface Outgoing {
  readonly text: string;
  /** Told when the message will never be sent. */
  drop(reason: DropReason): void;
}

/** What became of a message: the socket has it, it waits for a connection, or there was no room for it. */
export type SendResult = 'sent' | 'queued' | 'dropped';

const utf8 = new TextEncoder();

/** Sends messages, or keeps them until there is a connection. */
export class Outbox {
  /** The oldest first. */
  readonly #waiting: Outgoing[] = [];
  /**
   * What was sent over a connection from which no frame has arrived; afterwards `undefined`. If the server refuses the
   * handshake with a close code, the connection opens first: none of this has been handled.
   */
  #unconfirmed: Outgoing[] | undefined;
  /** Whether what is sent waits although there is a connection: the client is not in its topics again. */
  #isHeld = false;

  constructor(
    private readonly bounds: Pick<Settings, 'maxQueued' | 'maxQueuedBytes'>,
    private readonly write: (text: string) => boolean,
  ) {}

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  send(item: Outgoing): SendResult {
    if (this.#isHeld || !this.write(item.text)) return this.#keep(item) ? 'queued' : 'dropped';
    const length = this.#unconfirmed?.push(item) ?? 0;
    // A server that takes more than the bound has not refused the handshake.
    if (length > this.bounds.maxQueued) this.confirm();
    return 'sent';
  }

  isWaiting(item: Outgoing): boolean {
    return this.#waiting.includes(item);
  }

  /** Forgets a message. Returns whether it was waiting, and so has never been sent. */
  remove(item: Outgoing): boolean {
    const isWaiting = this.isWaiting(item);
    if (isWaiting) this.#waiting.splice(this.#waiting.indexOf(item), 1);
    this.#unconfirmed = this.#unconfirmed?.filter((other) => other !== item);
    return isWaiting;
  }

  /** There is a connection. What waits, and what is sent from now on, waits for {@link flush}. */
  opened(): void {
    this.#unconfirmed = [];
    this.#isHeld = true;
  }

  /** Sends what waits. */
  flush(): void {
    this.#isHeld = false;
    for (const item of this.#waiting.splice(0)) this.send(item);
  }

  /** A frame has arrived: the server has let the client in. */
  confirm(): void {
    this.#unconfirmed = undefined;
  }

  /** The connection was refused: what was sent over it waits for the next one. */
  refused(): void {
    for (const item of [...(this.#unconfirmed ?? []), ...this.#waiting.splice(0)]) this.#keep(item);
  }

  close(): void {
    for (const item of this.#waiting.splice(0)) item.drop('closed');
  }

  #keep(item: Outgoing): boolean {
    const kept = [...this.#waiting, item];
    const bytes = kept.reduce((sum, { text }) => sum + utf8.encode(text).length, 0);
    const isKept = kept.length <= this.bounds.maxQueued && bytes <= this.bounds.maxQueuedBytes;
    if (isKept) this.#waiting.push(item);
    else item.drop('queue-full');
    return isKept;
  }
}
