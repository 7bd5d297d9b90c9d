import type { AskListener, AskState, EndOfQuestion } from '../cluster/cluster-asks.js';
import { createId } from '../context/ids.js';
import type { AskOutcome } from '../journal/isolation-events.js';
import { Link } from '../structures/linked-list.js';
import type { Clock, Release } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import { encodeFrame, whyNoFrame, withField } from '../wire/frame-encoding.js';
import { AskLimitError, AskTimeoutError } from './ask.errors.js';
import { SendFailedError } from './manager.errors.js';
import { type Question, type QuestionListener, type QuestionText, rejection } from './question.js';

/** Options of `ask()`. */
export interface AskOptions {
  /** Milliseconds that the client has to answer. Default: 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Gives the question up: the promise rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** Who is asked. */
export interface AskReach<Manager> {
  /** Whom the question is for, as its event names it. */
  readonly target: AskTarget;
  /** The connections of this process. */
  readonly managers: readonly Manager[];
  /** Isolation key of the thread whose clients are asked when they come back; otherwise they are not. */
  readonly thread?: string | undefined;
  /** Asks the other nodes. */
  readonly elsewhere?:
    | ((question: QuestionText, timeoutMs: number, changed: AskListener) => EndOfQuestion)
    | undefined;
  /** The error where no connection can answer. */
  readonly none: (event: string) => Error;
}

/** A user, a thread, or one connection. */
export interface AskTarget {
  readonly userId: string;
  readonly threadId?: string | undefined;
  readonly connectionId?: string | undefined;
}

/** The span of a question. */
export interface TracedAsk {
  fail(error: unknown): void;
  end(): void;
}

/** Starts the span of a question. */
export type AskTracing = (target: AskTarget, event: string) => TracedAsk | undefined;

/** Keeps the open questions of a process. */
export interface AskingOwner<Manager> {
  readonly clock: Clock;
  readonly maxPerConnection: number;
  open(
    text: QuestionText,
    thread: string | undefined,
    listener: QuestionListener,
  ): Question<Manager>;
  add(question: Question<Manager>, managers: readonly Manager[]): void;
  end(question: Question<Manager>, isAnswered: boolean): void;
  keptFor(thread: string): number;
  /** A question begins. The span of the question, if questions are traced. */
  began(asking: Asking<Manager>): TracedAsk | undefined;
  over(asking: Asking<Manager>, outcome: AskOutcome): void;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** A question that code of this process asks: its promise, its deadline, its signal. Ends once. */
export class Asking<Manager> implements QuestionListener {
  /** Its place among the questions of the process. */
  readonly link = new Link<Asking<Manager>>(this);
  readonly startedAt: number;
  readonly #question: Question<Manager>;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  #elsewhere: AskState | undefined = undefined;
  #endElsewhere: EndOfQuestion | undefined = undefined;
  #releaseTimer: Release | undefined = undefined;
  #releaseSignal: Release | undefined = undefined;
  #traced: TracedAsk | undefined = undefined;
  #isStarted = false;
  #isOver = false;

  /** @throws {SendFailedError | RangeError | TypeError} for data, a deadline or an event that cannot be sent */
  constructor(
    private readonly owner: AskingOwner<Manager>,
    readonly reach: AskReach<Manager>,
    readonly event: string,
    data: unknown,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: AskOptions,
    private readonly resolve: (data: unknown) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    assertTimeout(timeoutMs);
    const { thread } = reach;
    if (thread !== undefined && owner.keptFor(thread) >= owner.maxPerConnection) {
      throw new AskLimitError(owner.maxPerConnection);
    }
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.startedAt = owner.clock.now();
    this.#question = owner.open(questionText(event, data), thread, this);
  }

  start(): void {
    const { owner, reach } = this;
    this.#traced = owner.began(this);
    if (this.#signal) this.#listen(this.#signal);
    this.#releaseTimer = afterSilence(owner.clock, this.#timeoutMs, () => {
      this.#fail(new AskTimeoutError(this.event, this.#timeoutMs), 'timeout');
    });
    owner.add(this.#question, reach.managers);
    // A listener of what a write has caused may have aborted the signal.
    if (this.#isOver) return;
    const listen = (state: AskState): void => this.#heard(state);
    this.#endElsewhere = reach.elsewhere?.(this.#question, this.#timeoutMs, listen);
    // Until the other nodes have been asked, one of their connections may answer.
    if (this.#endElsewhere) this.#elsewhere = { mayAnswer: true };
    this.#isStarted = true;
    this.changed();
  }

  answered(data: unknown): void {
    if (this.#isOver) return;
    this.#end(true, 'answered');
    this.resolve(data);
  }

  changed(): void {
    // A connection may close while the others are being asked.
    if (this.#isOver || !this.#isStarted) return;
    if (this.#question.askedOf.size === 0 && !this.#elsewhere?.mayAnswer) this.#unanswerable();
  }

  /** No connection will answer. */
  giveUp(): void {
    this.#fail(this.reach.none(this.event), 'unreachable');
  }

  #unanswerable(): void {
    const { refusal = this.#elsewhere?.refusal, isLimited, thread } = this.#question;
    if (refusal) return this.#fail(rejection(this.event, refusal), 'rejected');
    if (isLimited || this.#elsewhere?.isLimited) {
      return this.#fail(new AskLimitError(this.owner.maxPerConnection), 'unreachable');
    }
    // The client of a thread may come back.
    if (thread === undefined) this.giveUp();
  }

  #heard(state: AskState): void {
    if (this.#isOver) return;
    this.#elsewhere = state;
    if (!state.answer) return this.changed();
    this.owner.end(this.#question, true);
    this.answered(state.answer.data);
  }

  #listen(signal: AbortSignal): void {
    const aborted = (): void => this.#fail(signal.reason, 'aborted');
    signal.addEventListener('abort', aborted, { once: true });
    this.#releaseSignal = () => signal.removeEventListener('abort', aborted);
  }

  #fail(error: unknown, outcome: AskOutcome): void {
    if (this.#isOver) return;
    this.#traced?.fail(error);
    this.#end(false, outcome);
    this.reject(error);
  }

  #end(isAnswered: boolean, outcome: AskOutcome): void {
    this.#isOver = true;
    this.#releaseTimer?.();
    this.#releaseSignal?.();
    this.owner.end(this.#question, isAnswered);
    this.#endElsewhere?.(isAnswered);
    this.owner.over(this, outcome);
    this.#traced?.end();
  }
}

function assertTimeout(timeoutMs: unknown): void {
  if (typeof timeoutMs === 'number' && timeoutMs > 0 && timeoutMs < Number.POSITIVE_INFINITY)
    return;
  throw new RangeError(`Expected timeoutMs to be milliseconds above 0, got ${String(timeoutMs)}.`);
}

function questionText(event: string, data: unknown): QuestionText {
  const body = encodeFrame(event, data);
  if (body === undefined) {
    const cause = whyNoFrame({ data });
    throw new SendFailedError(`the data cannot be written as JSON (${cause.message})`, { cause });
  }
  // No client can guess the id of a question to another connection.
  const id = createId('ask');
  return { id, event, frame: withField(body, 'ask', id) };
}
