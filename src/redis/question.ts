import type { Topic } from './messages.js';
import type { Published } from './published.js';

/** More answers than there are nodes. */
const MOST_ANSWERS = 10_000;

/**
 * A question to other nodes. `answered` resolves when every node that the question reached has answered. Answers may
 * arrive before it is known which nodes these are.
 */
export class Question {
  readonly answers = new Map<string, unknown>();
  readonly answered: Promise<void>;
  /** Nodes that have replied, with a readable answer or without. */
  readonly #heardFrom = new Set<string>();
  #published: Published | undefined;
  #done!: () => void;

  constructor(
    readonly topic: Topic<unknown, unknown>,
    private readonly others: () => readonly string[],
  ) {
    this.answered = new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  /** The nodes that should have answered and did not. All other nodes, if the question was not published in time. */
  get silent(): string[] {
    const { heard, unheard } = this.#published ?? { heard: this.others(), unheard: [] };
    return [...heard, ...unheard].filter((nodeId) => !this.answers.has(nodeId));
  }

  publishedTo(published: Published): void {
    this.#published = published;
    this.#check();
  }

  /** Returns whether the answer could be read. A node that has no answer sends `null`. */
  answer(nodeId: string, answer: unknown): boolean {
    const isRead = this.topic.isAnswer(answer);
    if (isRead && this.answers.size < MOST_ANSWERS) this.answers.set(nodeId, answer);
    this.#heardFrom.add(nodeId);
    this.#check();
    return isRead || answer === null;
  }

  #check(): void {
    if (this.#published?.heard.every((nodeId) => this.#heardFrom.has(nodeId))) this.#done();
  }
}
