import type {
  AskListener,
  AskState,
  ClusterAsks,
  ClusterQuestion,
  EndOfQuestion,
  HostedQuestion,
  LocalAsks,
} from '../cluster/cluster-asks.js';
import { runOutsideContext } from '../context/running-code.js';
import { keyText } from '../history/history-key.js';
import { NoReceiverError } from '../manager/ask.errors.js';
import type { AskOptions } from '../manager/asking.js';
import type { Asks } from '../manager/asks.js';
import type { Question, QuestionListener, QuestionText } from '../manager/question.js';
import type { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';

type Target = ClusterQuestion['target'];

/** Questions to all connections of a user or of a thread, on all nodes. */
export class AudienceAsks implements LocalAsks {
  readonly #asks: Asks<WebSocketManager>;

  constructor(
    private readonly factory: WebSocketManagerFactory,
    /** Whether clients come back to their threads. */
    private readonly isResumed: boolean,
    private readonly cluster: ClusterAsks | undefined,
  ) {
    this.#asks = factory.bookkeeping.asks;
    cluster?.useLocalAsks(this);
  }

  /** Asks the connections of a target. The type of the answer is that of the contract, or what the caller says. */
  to(target: Target): (event: string, data?: unknown, options?: AskOptions) => Promise<never> {
    return (event, data, options) => this.#ask(target, event, data, options) as Promise<never>;
  }

  #ask(target: Target, event: string, data: unknown, options?: AskOptions): Promise<unknown> {
    const isKept = this.isResumed && target.threadId !== undefined;
    const reach = {
      target,
      managers: this.#addressed(target),
      thread: this.#threadOf(target, isKept),
      elsewhere: this.cluster && this.#elsewhere(this.cluster, target, isKept),
      none: (asked: string) => new NoReceiverError(asked),
    };
    // The writes belong to other connections, so they run outside the context of the handler that asks.
    const start = (): Promise<unknown> => this.#asks.ask(reach, event, data, options);
    return runOutsideContext(start, undefined);
  }

  host(question: ClusterQuestion, changed: AskListener): HostedQuestion {
    const { target, isKept } = question;
    const listener: QuestionListener = {
      answered: (data) => changed({ mayAnswer: false, answer: { data } }),
      changed: () => changed(stateOf(open)),
    };
    const open = this.#asks.open(question, this.#threadOf(target, isKept), listener);
    this.#asks.add(open, this.#addressed(target));
    return { state: stateOf(open), end: (isAnswered) => this.#asks.end(open, isAnswered) };
  }

  dispose(): void {
    this.#asks.dispose();
  }

  #elsewhere(cluster: ClusterAsks, target: Target, isKept: boolean) {
    return (text: QuestionText, timeoutMs: number, changed: AskListener): EndOfQuestion => {
      const { id, event, frame } = text;
      return cluster.ask({ id, event, frame, target, isKept, timeoutMs }, changed);
    };
  }

  #addressed(target: Target): WebSocketManager[] {
    return this.factory.clusterConnections.addressed(target);
  }

  // The isolation key of a connection is the text of its thread's key.
  #threadOf({ userId, threadId }: Target, isKept: boolean): string | undefined {
    return isKept && threadId !== undefined ? keyText({ userId, threadId }) : undefined;
  }
}

function stateOf({ askedOf, refusal, isLimited }: Question<WebSocketManager>): AskState {
  return { mayAnswer: askedOf.size > 0, refusal, isLimited };
}
