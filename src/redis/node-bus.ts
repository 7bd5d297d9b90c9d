import { randomUUID } from 'node:crypto';

import type { Clock } from '../clock/clock.js';
import { withDeadline } from '../clock/deadline.js';
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

interface Question {
  readonly answers: unknown[];
  /** Nodes that have not answered. */
  readonly open: Set<string>;
  readonly done: () => void;
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
    return this.#publish(nodeId, { from: this.nodeId, topic, body });
  }

  /** Asks nodes. Resolves to the answers that came in time; never rejects. */
  async ask(
    nodeIds: readonly string[],
    topic: string,
    body: unknown,
    withinMs: number,
  ): Promise<unknown[]> {
    if (nodeIds.length === 0) return [];
    const id = randomUUID();
    const answers: unknown[] = [];
    const all = new Promise<void>((resolve) => {
      this.#questions.set(id, { answers, open: new Set(nodeIds), done: resolve });
    });
    for (const nodeId of nodeIds) {
      const sent = this.#publish(nodeId, { from: this.nodeId, topic, id, body });
      void sent.then((isHeard) => !isHeard && this.#settle(id, nodeId));
    }
    await withDeadline(this.clock, withinMs, all);
    this.#questions.delete(id);
    return answers;
  }

  async #publish(nodeId: string, envelope: Envelope): Promise<boolean> {
    try {
      const channel = this.keys.channelOf(nodeId);
      const receivers = await this.connections
        .get('publish')
        .publish(channel, JSON.stringify(envelope));
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
    else if (topic === ANSWER && id !== undefined) this.#settle(id, from, body);
    else void this.#answer(envelope);
  }

  #settle(id: string, nodeId: string, answer?: unknown): void {
    const question = this.#questions.get(id);
    if (!question?.open.delete(nodeId)) return;
    if (answer !== undefined && answer !== null) question.answers.push(answer);
    if (question.open.size === 0) question.done();
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
    await this.#publish(from, { from: this.nodeId, topic: ANSWER, id, body: answer ?? null });
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
