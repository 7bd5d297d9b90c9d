import { randomUUID } from 'node:crypto';

import type { Clock } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import type { ClusterAnswers } from '../history/cluster-answers.js';
import type { RedisConnection, RedisConnections } from './connections.js';
import { parse } from './checks.js';
import type { Keys } from './keys.js';
import { type Envelope, isEnvelope, type Topic } from './messages.js';
import { noteActivity } from './line-activity.js';
import { isDenied } from './permissions.js';
import type { Published } from './published.js';
import { Question } from './question.js';
import type { Unreadable } from './unreadable.js';

/** Handles a message of another node, and returns the answer to a question. If it throws, there is no answer. */
export type BusHandler<Body, Answer> = (
  body: Body,
) => Answer | undefined | void | Promise<Answer | undefined | void>;

interface Subject {
  readonly topic: Topic<unknown, unknown>;
  readonly handler: BusHandler<unknown, unknown>;
}

const ANSWER = 'answer';
const ECHO = 'echo';
/** Own echo messages that may be missing before the connection counts as dead. */
const PATIENCE = 4;

/**
 * Messages from node to node, over pub/sub: fast, but one is lost now and then. A sender must not depend on their
 * delivery.
 */
export class NodeBus {
  readonly #subjects = new Map<string, Subject>();
  readonly #questions = new Map<string, Question>();
  #listening: RedisConnection | undefined;
  #unheard = 0;
  #isDenied = false;
  #isDeaf = false;

  constructor(
    private readonly connections: RedisConnections,
    private readonly keys: Keys,
    private readonly clock: Clock,
    private readonly nodeId: string,
    private readonly unreadable: Unreadable,
    /** The other nodes that are known. */
    private readonly others: () => readonly string[],
    private readonly onError: (error: unknown) => void,
    /** The user of Redis lacks the right to subscribe. */
    private readonly onDenied: (missing: readonly string[]) => void,
    /** This node receives no messages any more, not even its own; or it receives messages again. */
    private readonly onHearing: (isHearing: boolean) => void,
  ) {}

  /** Sets the handler of a topic, one for each. It gets only bodies that have the topic's shape. */
  use<Body, Answer>(topic: Topic<Body, Answer>, handler: BusHandler<Body, Answer>): void {
    const subject = { topic, handler: handler as BusHandler<unknown, unknown> };
    this.#subjects.set(topic.name, subject);
  }

  /** Subscribes to the channel of this node. Call it whenever the connection has become ready. */
  async listen(): Promise<void> {
    const connection = this.connections.get('subscribe');
    if (connection === this.#listening) return;
    this.#listening = connection;
    try {
      await connection.subscribe(this.keys.channelOf(this.nodeId), (text) => {
        noteActivity(connection);
        this.#receive(text);
      });
      this.#unheard = 0;
    } catch (error) {
      if (this.#listening === connection) this.#listening = undefined;
      this.onError(error);
      this.#noteDenied(error);
    }
  }

  /**
   * Sends a message to this node itself. If such messages do not arrive, the connection is replaced: it looks open but
   * is dead, or it cannot reconnect. Call it at every heartbeat.
   */
  async check(): Promise<void> {
    if (this.#unheard >= PATIENCE) {
      this.#unheard = 0;
      // A missing right has been reported already.
      if (!this.#isDeaf && !this.#isDenied) {
        this.#isDeaf = true;
        this.onHearing(false);
      }
      this.connections.replace('subscribe');
      await this.listen();
    }
    const receivers = await this.#receivers(this.nodeId, this.#wrap(ECHO, null));
    // If the message could not be published, Redis is away; the renewal of leases reports that.
    if (receivers !== undefined) this.#unheard += 1;
  }

  /** Sends a message. Resolves to whether the node received it, as far as that can be known. */
  async tell<Body>(nodeId: string, topic: Topic<Body, unknown>, body: Body): Promise<boolean> {
    return this.#publish(nodeId, this.envelope(topic, body));
  }

  /** Asks nodes. Resolves to the answers that arrive in time; never rejects. */
  async ask<Body, Answer>(
    nodeIds: readonly string[],
    topic: Topic<Body, Answer>,
    body: Body,
    withinMs: number,
  ): Promise<Answer[]> {
    if (nodeIds.length === 0) return [];
    const publish = (text: string): Promise<Published> => this.publish(nodeIds, text);
    const { answers } = await this.collect(topic, body, publish, withinMs);
    return [...answers.values()];
  }

  /** Asks the nodes that `publish` reaches; `publish` resolves to those nodes. Rejects only if `publish` does. */
  async collect<Body, Answer>(
    topic: Topic<Body, Answer>,
    body: Body,
    publish: (text: string) => Promise<Published>,
    withinMs: number,
  ): Promise<ClusterAnswers<Answer>> {
    const id = randomUUID();
    const question = new Question(topic, this.others);
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
    const answers = question.answers as ReadonlyMap<string, Answer>;
    return { answers, silent: question.silent };
  }

  /** The text of a message, for callers that publish it themselves. `body` is the last field. */
  envelope<Body>(topic: Topic<Body, unknown>, body: Body, id?: string): string {
    return this.#wrap(topic.name, body, id);
  }

  #wrap(topic: string, body: unknown, id?: string): string {
    // Only what is not known to be plain text is encoded.
    const question = id === undefined ? '' : `"id":${JSON.stringify(id)},`;
    return `{"from":"${this.nodeId}","topic":"${topic}",${question}"body":${JSON.stringify(body)}}`;
  }

  /** Publishes a text to nodes. Never rejects. */
  async publish(nodeIds: readonly string[], text: string): Promise<Published> {
    const isHeard = await Promise.all(nodeIds.map((nodeId) => this.#publish(nodeId, text)));
    return {
      heard: nodeIds.filter((_, index) => isHeard[index]),
      unheard: nodeIds.filter((_, index) => !isHeard[index]),
    };
  }

  // Whether the node received the text, as far as that can be known.
  async #publish(nodeId: string, text: string): Promise<boolean> {
    const receivers = await this.#receivers(nodeId, text);
    if (receivers === undefined) return false;
    return receivers > 0 || !this.connections.seesAllReceivers;
  }

  // The number of receivers; `undefined` if the text could not be published.
  async #receivers(nodeId: string, text: string): Promise<number | undefined> {
    try {
      const connection = this.connections.get('publish');
      const receivers = await connection.publish(this.keys.channelOf(nodeId), text);
      noteActivity(connection);
      return receivers;
    } catch (error) {
      this.onError(error);
      return undefined;
    }
  }

  #noteDenied(error: unknown): void {
    if (this.#isDenied || !isDenied(error)) return;
    this.#isDenied = true;
    this.onDenied([/channel/.test(String(error)) ? `&${this.keys.all}` : '+subscribe']);
  }

  #receive(text: string): void {
    // Any message shows that the subscription works: this node's own may wait behind thousands of others.
    this.#heardSomething();
    const envelope = parse(text, isEnvelope);
    if (!envelope) {
      this.unreadable.note('a message between nodes');
      return;
    }
    const { from, topic, id, body } = envelope;
    if (topic === ECHO) return;
    if (topic === ANSWER) this.#hear(from, id, body);
    else this.#handle(envelope);
  }

  #heardSomething(): void {
    this.#unheard = 0;
    if (!this.#isDeaf) return;
    this.#isDeaf = false;
    this.onHearing(true);
  }

  #hear(from: string, id: string | undefined, body: unknown): void {
    const question = id === undefined ? undefined : this.#questions.get(id);
    if (!question || question.answer(from, body)) return;
    this.unreadable.note(`an answer to '${question.topic.name}'`);
  }

  // Most messages ask nothing and are handled at once, so they cost no promise.
  #handle({ from, topic, id, body }: Envelope): void {
    const answer = this.#answerTo(topic, body);
    if (id !== undefined) void this.#answer(from, id, answer);
  }

  async #answer(asker: string, id: string, answer: unknown): Promise<void> {
    await this.#publish(asker, this.#wrap(ANSWER, (await answer) ?? null, id));
  }

  // Neither throws nor rejects.
  #answerTo(topic: string, body: unknown): unknown {
    const subject = this.#subjects.get(topic);
    if (!subject?.topic.isBody(body)) {
      this.unreadable.note(subject ? `'${topic}'` : 'a message of unknown topic');
      return undefined;
    }
    try {
      const answer = subject.handler(body);
      return answer instanceof Promise
        ? answer.catch((error: unknown) => this.onError(error))
        : answer;
    } catch (error) {
      this.onError(error);
      return undefined;
    }
  }
}
