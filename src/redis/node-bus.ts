import { randomUUID } from 'node:crypto';

import type { Clock } from '../clock/clock.js';
import { withDeadline } from '../clock/deadline.js';
import type { ClusterAnswers } from '../history/receipt.js';
import type { Connection, RedisConnections } from './connections.js';
import type { Keys } from './keys.js';

/** Answers a question of another node; what it throws is no answer. */
export type BusHandler = (body: never, from: string) => unknown;

interface Envelope {
  readonly from: string;
  readonly topic: string;
  /** Of a question, and of its answer. */
  readonly id?: string;
  readonly body: unknown;
}

/** Nodes that a message was published to. */
export interface Published {
  /** Those that listened, as far as can be known. */
  readonly heard: readonly string[];
  /** Those that did not. */
  readonly unheard: readonly string[];
}

/** Waits until everybody who was reached has answered. Answers may come before it is known who that is. */
class Question {
  readonly answers = new Map<string, unknown>();
  readonly answered: Promise<void>;
  #published: Published | undefined;
  #done!: () => void;

  constructor() {
    this.answered = new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  /** Everybody who was to answer and did not. */
  get silent(): string[] {
    const { heard = [], unheard = [] } = this.#published ?? {};
    return [...heard, ...unheard].filter((nodeId) => !this.answers.has(nodeId));
  }

  publishedTo(published: Published): void {
    this.#published = published;
    this.#check();
  }

  answer(nodeId: string, answer: unknown): void {
    this.answers.set(nodeId, answer);
    this.#check();
  }

  #check(): void {
    if (this.#published?.heard.every((nodeId) => this.answers.has(nodeId))) this.#done();
  }
}

const ANSWER = 'answer';
const ECHO = 'echo';
/** Own messages that may stay unheard before the line is taken for dead. */
const PATIENCE = 4;

/**
 * Messages from node to node, over pub/sub: fast, and lost now and then. Whoever sends one must be able to
 * do without.
 */
export class NodeBus {
  readonly #handlers = new Map<string, BusHandler>();
  readonly #questions = new Map<string, Question>();
  #listening: Connection | undefined;
  #unheard = 0;

  constructor(
    private readonly connections: RedisConnections,
    private readonly keys: Keys,
    private readonly clock: Clock,
    private readonly nodeId: string,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Sets who deals with a topic. One for each. */
  handle(topic: string, handler: BusHandler): void {
    this.#handlers.set(topic, handler);
  }

  /** Listens on this node's own channel, as soon as there is a connection. Call it whenever one has come up. */
  async listen(): Promise<void> {
    const connection = this.connections.get('subscribe');
    if (connection === this.#listening) return;
    this.#listening = connection;
    this.#unheard = 0;
    try {
      await connection.subscribe(this.keys.channelOf(this.nodeId), (text) => this.#receive(text));
    } catch (error) {
      if (this.#listening === connection) this.#listening = undefined;
      this.onError(error);
    }
  }

  /** Hears itself: a line that looks open and carries nothing is replaced. Call it at every heartbeat. */
  async check(): Promise<void> {
    if (this.#unheard >= PATIENCE) {
      this.connections.replace('subscribe');
      await this.listen();
    }
    if (await this.tell(this.nodeId, ECHO, null)) this.#unheard += 1;
  }

  /** Sends a message. Resolves to whether the node listened, as far as can be known. */
  async tell(nodeId: string, topic: string, body: unknown): Promise<boolean> {
    return this.#publish(nodeId, this.envelope(topic, body));
  }

  /** Asks nodes. Resolves to the answers that came in time; never rejects. */
  async ask(
    nodeIds: readonly string[],
    topic: string,
    body: unknown,
    withinMs: number,
  ): Promise<unknown[]> {
    if (nodeIds.length === 0) return [];
    const publish = (text: string): Promise<Published> => this.#publishAll(nodeIds, text);
    const { answers } = await this.collect(topic, body, publish, withinMs);
    return [...answers.values()].filter((answer) => answer !== undefined && answer !== null);
  }

  /** Asks whoever `publish` reaches, which it finds out itself. Never rejects unless `publish` does. */
  async collect(
    topic: string,
    body: unknown,
    publish: (text: string) => Promise<Published>,
    withinMs: number,
  ): Promise<ClusterAnswers<unknown>> {
    const id = randomUUID();
    const question = new Question();
    this.#questions.set(id, question);
    try {
      const published = publish(this.envelope(topic, body, id));
      const all = published.then((to) => {
        question.publishedTo(to);
        return question.answered;
      });
      await withDeadline(this.clock, withinMs, all);
    } finally {
      this.#questions.delete(id);
    }
    return { answers: question.answers, silent: question.silent };
  }

  /** A message as nodes understand it, for whoever publishes it by other means. `body` stands last. */
  envelope(topic: string, body: unknown, id?: string): string {
    return JSON.stringify({ from: this.nodeId, topic, id, body });
  }

  async #publishAll(nodeIds: readonly string[], text: string): Promise<Published> {
    const isHeard = await Promise.all(nodeIds.map((nodeId) => this.#publish(nodeId, text)));
    return {
      heard: nodeIds.filter((_, index) => isHeard[index]),
      unheard: nodeIds.filter((_, index) => !isHeard[index]),
    };
  }

  async #publish(nodeId: string, text: string): Promise<boolean> {
    try {
      const channel = this.keys.channelOf(nodeId);
      const receivers = await this.connections.get('publish').publish(channel, text);
      return receivers > 0 || !this.connections.seesAllReceivers;
    } catch (error) {
      this.onError(error);
      return false;
    }
  }

  #receive(text: string): void {
    const envelope = readEnvelope(text);
    if (!envelope) return;
    const { from, topic, id, body } = envelope;
    if (topic === ECHO) this.#unheard = 0;
    else if (topic === ANSWER && id !== undefined) this.#questions.get(id)?.answer(from, body);
    else void this.#answer(envelope);
  }

  async #answer({ from, topic, id, body }: Envelope): Promise<void> {
    const handler = this.#handlers.get(topic);
    let answer: unknown;
    try {
      answer = await handler?.(body as never, from);
    } catch (error) {
      this.onError(error);
    }
    if (id === undefined) return;
    await this.#publish(from, this.envelope(ANSWER, answer ?? null, id));
  }
}

// Whoever can write to Redis can write this; another version of the library may too.
function readEnvelope(text: string): Envelope | undefined {
  try {
    const envelope = JSON.parse(text) as Partial<Envelope> | null;
    const isOne = typeof envelope?.from === 'string' && typeof envelope.topic === 'string';
    return isOne ? (envelope as Envelope) : undefined;
  } catch {
    return undefined;
  }
}
