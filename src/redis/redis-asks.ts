import type {
  AskListener,
  ClusterAsks,
  ClusterQuestion,
  EndOfQuestion,
  LocalAsks,
} from '../cluster/cluster-asks.js';
import type { DeliveryTarget } from '../cluster/cluster-delivery.js';
import type { Clock, Release } from '../time/clock.js';
import { ASK, ASK_END, ASK_STATE, type VersionedState } from './ask-messages.js';
import { AskedQuestion } from './asked-question.js';
import { HostedQuestions } from './hosted-questions.js';
import type { NodeBus } from './node-bus.js';
import type { Published } from './published.js';
import { REPORT_MS } from './redis-delivery.js';

/** How often the end of a question is told to a node that does not confirm it. Its own deadline ends it there anyway. */
const TIMES_TOLD = 3;

/** What questions need from their node. */
export interface AskServices {
  readonly clock: Clock;
  readonly bus: NodeBus;
  readonly nodeId: string;
  /** Milliseconds between looks at the list of nodes. */
  readonly heartbeatMs: number;
  /** Publishes a message to the nodes that hold the connections. */
  broadcast(target: DeliveryTarget, text: string): Promise<Published>;
  /** The other nodes at the last heartbeat. */
  others(): readonly string[];
  /** A question could not be handed on. */
  failed(error: unknown): void;
}

/**
 * Questions between nodes. The messages go over pub/sub, where one may be lost, so each of them is confirmed, and
 * repeated until it is or the question is over. A node that dies is noticed with the list of nodes.
 */
export class RedisAsks implements ClusterAsks {
  readonly #asked = new Map<string, AskedQuestion>();
  readonly #hosted: HostedQuestions;
  #local: LocalAsks | undefined;
  #stopLooking: Release | undefined;
  #hasLeft = false;

  constructor(private readonly services: AskServices) {
    const { clock, bus } = services;
    this.#hosted = new HostedQuestions(
      clock,
      (asker, id, state) => this.#tellAsker(asker, id, state),
      (error) => services.failed(error),
    );
    bus.use(ASK, ({ asker, ...question }) => this.#host(question, asker));
    bus.use(ASK_STATE, ({ id, nodeId, ...told }) => this.#heard(id, nodeId, told));
    bus.use(ASK_END, ({ id, isAnswered }) => {
      this.#hosted.end(id, isAnswered);
      return 'ended' as const;
    });
  }

  useLocalAsks(local: LocalAsks): void {
    this.#local = local;
  }

  ask(question: ClusterQuestion, changed: AskListener): EndOfQuestion {
    const expiresAt = this.services.clock.now() + question.timeoutMs;
    const asked = new AskedQuestion(question, expiresAt, changed);
    if (this.#hasLeft) {
      queueMicrotask(() => asked.leave());
      return (isAnswered) => void (asked.ending = { isAnswered });
    }
    this.#asked.set(question.id, asked);
    this.#startLooking();
    void this.#spread(asked);
    return (isAnswered) => {
      asked.ending = { isAnswered };
      this.#asked.delete(question.id);
      void this.#tellEnd(asked);
    };
  }

  /** The process leaves the cluster: no other node will answer. */
  leave(): void {
    this.#hasLeft = true;
    this.#stopLooking?.();
    this.#stopLooking = undefined;
    for (const asked of this.#asked.values()) asked.leave();
    this.#asked.clear();
    this.#hosted.clear();
  }

  // A question that is kept goes to all nodes: a client may come back to any of them.
  async #spread(asked: AskedQuestion): Promise<void> {
    const { target, isKept } = asked.question;
    const to: DeliveryTarget = isKept ? { all: true } : target;
    try {
      await this.#send(asked, (text) => this.services.broadcast(to, text));
    } catch (error) {
      this.services.failed(error);
      // It is unknown which nodes hold the user.
      asked.missed(this.services.others());
    }
    asked.spread();
    if (asked.ending) await this.#tellEnd(asked);
  }

  async #send(asked: AskedQuestion, publish: (text: string) => Promise<Published>): Promise<void> {
    const { bus, nodeId, clock } = this.services;
    const timeoutMs = Math.max(1, asked.expiresAt - clock.now());
    const body = { ...asked.question, timeoutMs, asker: nodeId };
    const { answers, silent } = await bus.collect(ASK, body, publish, REPORT_MS);
    for (const [from, state] of answers) asked.heard(from, state);
    asked.missed(silent);
  }

  #host(question: ClusterQuestion, asker: string): VersionedState | undefined {
    if (!this.#local || this.#hasLeft) return undefined;
    const state = this.#hosted.host(this.#local, question, asker);
    if (this.#hosted.size > 0) this.#startLooking();
    return state;
  }

  #heard(id: string, nodeId: string, told: VersionedState): 'noted' | 'over' {
    const asked = this.#asked.get(id);
    asked?.heard(nodeId, told);
    return asked ? 'noted' : 'over';
  }

  async #tellAsker(
    asker: string,
    id: string,
    state: VersionedState,
  ): Promise<'noted' | 'over' | undefined> {
    const { bus, nodeId } = this.services;
    const body = { id, nodeId, ...state };
    const [reply] = await bus.ask([asker], ASK_STATE, body, REPORT_MS);
    return reply;
  }

  async #tellEnd(asked: AskedQuestion): Promise<void> {
    // The nodes that have got the question are told when they are known.
    if (asked.isSpreading || !asked.ending) return;
    const { bus } = this.services;
    const body = { id: asked.question.id, ...asked.ending };
    let left: readonly string[] = asked.toBeTold;
    for (let time = 0; time < TIMES_TOLD && left.length > 0 && !this.#hasLeft; time += 1) {
      const nodeIds = left;
      const publish = (text: string): Promise<Published> => bus.publish(nodeIds, text);
      ({ silent: left } = await bus.collect(ASK_END, body, publish, REPORT_MS));
    }
  }

  #startLooking(): void {
    const { clock, heartbeatMs } = this.services;
    this.#stopLooking ??= clock.every(heartbeatMs, () => this.#look());
  }

  #look(): void {
    if (this.#asked.size === 0 && this.#hosted.size === 0) {
      this.#stopLooking?.();
      this.#stopLooking = undefined;
      return;
    }
    const living = new Set(this.services.others());
    this.#hosted.look(living);
    for (const asked of this.#asked.values()) {
      const again = asked.isSpreading ? [] : asked.look(living);
      const isNeeded = again.length > 0 && !asked.isAskingAgain && !asked.ending;
      if (isNeeded) void this.#askAgain(asked, again);
    }
  }

  async #askAgain(asked: AskedQuestion, nodeIds: readonly string[]): Promise<void> {
    asked.isAskingAgain = true;
    await this.#send(asked, (text) => this.services.bus.publish(nodeIds, text));
    asked.isAskingAgain = false;
    // The question may have ended meanwhile, and these nodes were not told.
    if (asked.ending) await this.#tellEnd(asked);
  }
}
