import { ClientError, type Report, thrownText } from './client.error.js';
import type { Off } from './listeners.js';
import { encode, type Frame } from './message.js';

/** What an answering function gets beside the data of the question. */
export interface Question {
  readonly event: string;
  /** Aborted when another client has answered, and when this client is closed. */
  readonly signal: AbortSignal;
}

/** Answers a question of the server. What it returns is the answer; what it throws is sent as an error. */
export type Answerer = (data: unknown, question: Question) => unknown;

interface Asked {
  readonly controller: AbortController;
  /** The answer, once it is there and there was no connection to send it over. */
  text?: string;
}

/** Answers that wait for the server to ask again. Beyond, the oldest is forgotten. */
const MAX_ASKED = 100;

/** The questions of the server to this client. */
export class Questions {
  readonly #answerers = new Map<string, Answerer>();
  readonly #asked = new Map<string, Asked>();

  constructor(
    private readonly write: (text: string) => boolean,
    private readonly report: Report,
  ) {}

  /** @throws {TypeError} when the event has one already */
  add(event: string, answerer: Answerer): Off {
    if (this.#answerers.has(event)) {
      throw new TypeError(`"${event}" has an answer already.`);
    }
    this.#answerers.set(event, answerer);
    return () => {
      if (this.#answerers.get(event) === answerer) this.#answerers.delete(event);
    };
  }

  /** Handles a frame that may be a question. Returns whether it is one. */
  received({ event, data, ask }: Frame): boolean {
    if (typeof ask !== 'string') return false;
    const asked = this.#asked.get(ask);
    if (event === 'answered') this.#forget(ask);
    // Asked again after the connection was lost: the app answers each question once.
    else if (asked) this.#send(ask, asked);
    else void this.#answer(ask, event, data);
    return true;
  }

  close(): void {
    for (const ask of this.#asked.keys()) this.#forget(ask);
  }

  async #answer(ask: string, event: string, data: unknown): Promise<void> {
    const answerer = this.#answerers.get(event);
    // No answer rather than a refusal: another tab of the user may know one, and the first answer counts.
    if (!answerer) return this.report(new ClientError('NO_ANSWER', `The server asks "${event}".`));
    const asked: Asked = { controller: new AbortController() };
    this.#asked.set(ask, asked);
    if (this.#asked.size > MAX_ASKED) this.#forget([...this.#asked.keys()][0]!);
    const { signal } = asked.controller;
    try {
      const answer = await answerer(data, { event, signal });
      asked.text = encode({ event: 'answer', ask, data: answer ?? null });
    } catch (error) {
      asked.text = encode({ event: 'answer', ask, error: shown(error) });
    }
    if (!signal.aborted) this.#send(ask, asked);
  }

  #send(ask: string, { text }: Asked): void {
    if (text !== undefined && this.write(text)) this.#asked.delete(ask);
  }

  #forget(ask: string): void {
    this.#asked.get(ask)?.controller.abort();
    this.#asked.delete(ask);
  }
}

function shown(error: unknown): { code: string; message: string } {
  const { code } = (error ?? {}) as { code?: unknown };
  return { code: typeof code === 'string' ? code : 'FAILED', message: thrownText(error) };
}
