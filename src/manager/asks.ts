import type { AskOutcome } from '../journal/isolation-events.js';
import type { Clock } from '../time/clock.js';
import { LinkedList } from '../structures/linked-list.js';
import { Plug, type Unplug } from '../structures/plug.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import {
  Asking,
  type AskingOwner,
  type AskOptions,
  type AskReach,
  type AskTarget,
  type AskTracing,
  type TracedAsk,
} from './asking.js';
import { OpenQuestions } from './open-questions.js';
import {
  type ClientAnswer,
  Question,
  type QuestionListener,
  type QuestionText,
  readRefusal,
} from './question.js';

/** The connection that is asked. */
export interface AskedManager {
  readonly context: { readonly isolationKey: string };
  readonly isActive: boolean;
  sendFrame(frame: string): DeliveryResult;
  /** The client of this connection is asked. */
  asked(): void;
}

/** An open question or stream of a connection. */
export interface OpenWork {
  readonly event: string;
  /** Milliseconds since it was opened. */
  readonly ageMs: number;
}

/** A question that has ended. */
export interface EndedAsk {
  readonly target: AskTarget;
  readonly event: string;
  readonly outcome: AskOutcome;
  readonly durationMs: number;
}

/**
 * The open questions to clients: those that code of this process asks, and the parts of other nodes' questions. Kept by
 * connection, so that a connection without any takes no memory for them.
 */
export class Asks<Manager extends AskedManager> implements AskingOwner<Manager> {
  readonly #open = new OpenQuestions<Manager>();
  // Questions that are asked again of clients that come back, by the isolation key of their thread.
  readonly #threads = new Map<string, Set<Question<Manager>>>();
  readonly #own = new LinkedList<Asking<Manager>>();
  readonly #tracing = new Plug<AskTracing>();
  /** Answers to no open question: unknown, late, or of another connection. */
  ignored = 0;

  constructor(
    readonly clock: Clock,
    readonly maxPerConnection: number,
    private readonly ended: (ended: EndedAsk) => void,
  ) {}

  /** A plug: makes a span of each question. */
  useTracing(tracing: AskTracing): Unplug {
    return this.#tracing.use(tracing);
  }

  /** Questions of this process that have no answer yet. */
  get size(): number {
    return this.#own.size;
  }

  /** Questions that connections of this process can answer, one for each connection, also for other nodes. */
  get asked(): number {
    return this.#open.size;
  }

  /** Whether a connection has open questions. */
  isAsked(manager: Manager): boolean {
    return this.#open.of(manager).length > 0;
  }

  /** The connections that have open questions. */
  managers(): Iterable<Manager> {
    return this.#open.managers();
  }

  /** The open questions of a connection, the oldest first. */
  of(manager: Manager): OpenWork[] {
    const now = this.clock.now();
    return this.#open.of(manager).map(({ event, askedAt }) => ({ event, ageMs: now - askedAt }));
  }

  /**
   * Asks connections, and resolves with the first answer; the others are told that the question is answered.
   *
   * @throws as a rejection, whatever ends the question without an answer
   */
  ask(
    reach: AskReach<Manager>,
    event: string,
    data: unknown,
    options: AskOptions = {},
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      options.signal?.throwIfAborted();
      new Asking(this, reach, event, data, options, resolve, reject).start();
    });
  }

  began(asking: Asking<Manager>): TracedAsk | undefined {
    this.#own.append(asking.link);
    return this.#tracing.part?.(asking.reach.target, asking.event);
  }

  over(asking: Asking<Manager>, outcome: AskOutcome): void {
    asking.link.remove();
    const { event, startedAt, reach } = asking;
    const durationMs = this.clock.now() - startedAt;
    this.ended({ target: reach.target, event, outcome, durationMs });
  }

  /** Opens a question on this process. It asks no connection yet. */
  open(
    text: QuestionText,
    thread: string | undefined,
    listener: QuestionListener,
  ): Question<Manager> {
    const question = new Question<Manager>(text, thread, this.clock.now(), listener);
    if (thread === undefined) return question;
    const questions = this.#threads.get(thread);
    if (questions) questions.add(question);
    else this.#threads.set(thread, new Set([question]));
    return question;
  }

  /** How many open questions are asked again of clients that come back to a thread. */
  keptFor(thread: string): number {
    return this.#threads.get(thread)?.size ?? 0;
  }

  /** Asks connections that have not been asked, unless they have too many open questions. */
  add(question: Question<Manager>, managers: readonly Manager[]): void {
    for (const manager of managers) this.#add(question, manager);
  }

  /** Ends a question. @param isAnswered whether the connections that are still asked are told */
  end(question: Question<Manager>, isAnswered: boolean): void {
    question.isOver = true;
    const told = [...question.askedOf];
    for (const manager of told) this.#remove(question, manager);
    if (question.thread !== undefined) {
      const questions = this.#threads.get(question.thread);
      questions?.delete(question);
      if (questions?.size === 0) this.#threads.delete(question.thread);
    }
    if (!isAnswered || told.length === 0) return;
    const frame = JSON.stringify({ event: 'answered', ask: question.id });
    for (const manager of told) manager.sendFrame(frame);
  }

  /** Handles an answer of a client. An answer to no open question of this connection is counted and ignored. */
  answer(manager: Manager, { ask, data, error }: ClientAnswer): void {
    const question = this.#open.find(manager, ask);
    if (!question) {
      this.ignored += 1;
      return;
    }
    this.#remove(question, manager);
    if (error !== undefined && error !== null) {
      // The other connections may still answer: this client could not.
      question.refusal ??= readRefusal(error);
      question.listener.changed();
      return;
    }
    this.end(question, true);
    question.listener.answered(data);
  }

  /**
   * Claims an open question for the check of an answer. Returns its event; `undefined`, and counts the answer, where the
   * question is not open or an earlier answer of the connection is being checked.
   */
  claim(manager: Manager, { ask }: ClientAnswer): string | undefined {
    const question = this.#open.find(manager, ask);
    if (!question || question.claimedBy?.has(manager)) {
      this.ignored += 1;
      return undefined;
    }
    (question.claimedBy ??= new Set()).add(manager);
    return question.event;
  }

  /** A connection is ready: it is asked the open questions of its thread. */
  cameBack(manager: Manager): void {
    // Most processes have no such questions.
    if (this.#threads.size === 0) return;
    for (const question of this.#threads.get(manager.context.isolationKey) ?? []) {
      this.#add(question, manager);
      question.listener.changed();
    }
  }

  /** The connection is closing: its questions have lost it. */
  close(manager: Manager): void {
    for (const question of this.#open.close(manager)) {
      question.askedOf.delete(manager);
      question.listener.changed();
    }
  }

  /** The process ends: no connection will answer any more. */
  dispose(): void {
    for (const asking of this.#own) asking.giveUp();
  }

  #add(question: Question<Manager>, manager: Manager): void {
    if (question.isOver || this.#open.find(manager, question.id)) return;
    if (this.#open.of(manager).length >= this.maxPerConnection) {
      question.isLimited = true;
      return;
    }
    if (typeof manager.sendFrame(question.frame) !== 'string') return;
    // A listener of what the write has caused may have ended the connection, or the question.
    if (!manager.isActive || question.isOver) return;
    question.askedOf.add(manager);
    this.#open.add(manager, question);
    manager.asked();
  }

  #remove(question: Question<Manager>, manager: Manager): void {
    question.askedOf.delete(manager);
    this.#open.remove(manager, question);
  }
}

/** Whether a message of a client is the answer to a question of the server. */
export function isAnswer(message: { readonly event: unknown } & ClientAnswer): boolean {
  return message.event === 'answer' && typeof message.ask === 'string';
}
