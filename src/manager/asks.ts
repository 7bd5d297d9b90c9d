import { randomBytes } from 'node:crypto';

import type { Clock, Release } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import { encodeFrame, whyNoFrame } from '../wire/frame-encoding.js';
import { AskLimitError, AskRejectedError, AskTimeoutError } from './ask.errors.js';
import { ManagerClosedError, SendFailedError } from './manager.errors.js';

/** Options of `manager.ask()`. */
export interface AskOptions {
  /** Milliseconds that the client has to answer. Default: 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Gives the question up: the promise rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** The connection that is asked. */
export interface AskedManager {
  sendFrame(frame: string): DeliveryResult;
}

/** An answer of a client: `data`, or an error. */
export interface ClientAnswer {
  readonly ask?: unknown;
  readonly data?: unknown;
  readonly error?: unknown;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** Bytes of an id. 96 bits: no client can guess the id of a question to another connection. */
const ID_BYTES = 12;

/** One open question, to one or several connections. Ends once. */
class Question {
  readonly askedOf = new Set<AskedManager>();
  #releaseTimer: Release | undefined;

  constructor(
    readonly id: string,
    readonly event: string,
    readonly frame: string,
    private readonly signal: AbortSignal | undefined,
    private readonly settle: (question: Question) => void,
    private readonly resolve: (data: unknown) => void,
    private readonly reject: (error: unknown) => void,
  ) {}

  start(clock: Clock, timeoutMs: number): void {
    this.signal?.addEventListener('abort', this.#aborted, { once: true });
    this.#releaseTimer = afterSilence(clock, timeoutMs, () =>
      this.fail(new AskTimeoutError(this.event, timeoutMs)),
    );
  }

  answer({ data, error }: ClientAnswer): void {
    this.#end();
    if (error === undefined || error === null) this.resolve(data);
    else this.reject(rejection(this.event, error));
  }

  fail(error: unknown): void {
    this.#end();
    this.reject(error);
  }

  readonly #aborted = (): void => this.fail(this.signal!.reason);

  #end(): void {
    this.#releaseTimer?.();
    this.signal?.removeEventListener('abort', this.#aborted);
    this.settle(this);
  }
}

/** The open questions to the clients of this process, by connection. */
export class Asks<Manager extends AskedManager> {
  readonly #open = new Map<Manager, Map<string, Question>>();
  /** Answers to no open question: unknown, late, or of another connection. */
  ignored = 0;

  constructor(
    private readonly clock: Clock,
    private readonly maxPerConnection: number,
  ) {}

  /** Open questions of a connection. */
  countOf(manager: Manager): number {
    return this.#open.get(manager)?.size ?? 0;
  }

  /** Open questions, one for each connection that is asked. */
  get size(): number {
    let sum = 0;
    for (const questions of this.#open.values()) sum += questions.size;
    return sum;
  }

  /**
   * Asks connections, and resolves with the first answer; the others are told that the question is answered.
   *
   * @throws {AskLimitError | AskTimeoutError | AskRejectedError | SendFailedError | ManagerClosedError} as a rejection
   */
  ask(
    managers: readonly Manager[],
    event: string,
    data: unknown,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: AskOptions = {},
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const id = randomBytes(ID_BYTES).toString('base64url');
      const frame = questionFrame(event, data, id);
      const free = managers.filter((manager) => this.countOf(manager) < this.maxPerConnection);
      if (free.length === 0) throw this.#noOne(managers.length);
      const settle = (question: Question): void => this.#remove(question);
      const question = new Question(id, event, frame, signal, settle, resolve, reject);
      for (const manager of free) this.#add(manager, question);
      if (question.askedOf.size === 0) throw new SendFailedError('no socket took the question');
      question.start(this.clock, timeoutMs);
    });
  }

  /** Handles an answer of a client. An answer to no open question of this connection is counted and ignored. */
  answer(manager: Manager, answer: ClientAnswer): void {
    const question = this.#open.get(manager)?.get(String(answer.ask));
    if (!question) {
      this.ignored += 1;
      return;
    }
    const others = [...question.askedOf].filter((asked) => asked !== manager);
    question.answer(answer);
    const told = JSON.stringify({ event: 'answered', ask: question.id });
    for (const other of others) other.sendFrame(told);
  }

  /** The connection is closing: its questions have lost it. A question without any connection fails. */
  close(manager: Manager): void {
    const questions = this.#open.get(manager);
    this.#open.delete(manager);
    for (const question of questions?.values() ?? []) {
      question.askedOf.delete(manager);
      if (question.askedOf.size === 0) question.fail(new ManagerClosedError('ask'));
    }
  }

  #noOne(asked: number): Error {
    return asked === 0 ? new ManagerClosedError('ask') : new AskLimitError(this.maxPerConnection);
  }

  #add(manager: Manager, question: Question): void {
    if (typeof manager.sendFrame(question.frame) !== 'string') return;
    question.askedOf.add(manager);
    const questions = this.#open.get(manager);
    if (questions) questions.set(question.id, question);
    else this.#open.set(manager, new Map([[question.id, question]]));
  }

  #remove(question: Question): void {
    for (const manager of question.askedOf as Set<Manager>) {
      const questions = this.#open.get(manager);
      questions?.delete(question.id);
      if (questions?.size === 0) this.#open.delete(manager);
    }
  }
}

/** Whether a message of a client is the answer to a question of the server. */
export function isAnswer(message: { readonly event: unknown } & ClientAnswer): boolean {
  return message.event === 'answer' && typeof message.ask === 'string';
}

function questionFrame(event: string, data: unknown, id: string): string {
  const body = encodeFrame(event, data);
  if (body !== undefined) return `${body.slice(0, -1)},"ask":"${id}"}`;
  const cause = whyNoFrame({ data });
  throw new SendFailedError(`the data cannot be written as JSON (${cause.message})`, { cause });
}

// Whatever the client has sent: its texts are bounded and never trusted.
function rejection(event: string, error: unknown): AskRejectedError {
  const { code, message } = (typeof error === 'object' ? error : {}) as {
    code?: unknown;
    message?: unknown;
  };
  return new AskRejectedError(event, textOf(code, 'UNKNOWN'), textOf(message, ''));
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value.slice(0, 1_024) : otherwise;
}
