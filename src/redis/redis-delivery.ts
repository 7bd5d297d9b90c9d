import type {
  ClusterDelivery,
  ClusterTarget,
  ConnectionInfo,
  Goodbye,
  LocalDelivery,
  Revoked,
} from '../cluster/cluster-delivery.js';
import type { ClusterAnswers } from '../history/cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type { RedisConnections } from './connections.js';
import type { Keys } from './keys.js';
import { NOW, PUBLISH } from './lua.js';
import { CONNECTIONS, DELIVER, type Topic } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type Published, readPublished } from './published.js';
import type { Revocations } from './revocations.js';
import { Script } from './script.js';

/** How long it is waited for what became of a message. */
export const REPORT_MS = 2_000;
/** Bytes of messages that Redis has not taken yet; what is above is not sent. */
const MAX_WAITING_BYTES = 16 * 1_048_576;

/**
 * KEYS a sorted set whose members begin with a node; ARGV beginning of a node's channel, a node to leave
 * out, message. Publishes to every node of which something is alive; answers each and how many listened.
 */
const BROADCAST = new Script(`${NOW}${PUBLISH}
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(now), '+inf')
return publish(members, ARGV[1], ARGV[3], {}, ARGV[2])
`);

/** Messages to connections on other nodes, over pub/sub: in order for each sender, and at most once. */
export class RedisDelivery implements ClusterDelivery {
  #waitingBytes = 0;

  constructor(
    private readonly connections: RedisConnections,
    private readonly keys: Keys,
    private readonly bus: NodeBus,
    private readonly nodeId: string,
    private readonly revocations: Pick<Revocations, 'useLocalDelivery' | 'revoke'>,
    /** The other nodes, as far as they are known. */
    private readonly others: () => readonly string[],
    /** A message did not get out. */
    private readonly failed: (error: unknown) => void,
  ) {}

  useLocalDelivery(local: LocalDelivery): void {
    this.bus.use(DELIVER, ({ target, frame }) => local.deliver(target, frame));
    this.revocations.useLocalDelivery(local);
    this.bus.use(CONNECTIONS, ({ target }) => local.connectionsOf(target.userId));
  }

  send(target: ClusterTarget, frame: string): void {
    const sent = this.#broadcast(target, this.bus.envelope(DELIVER, { target, frame }));
    sent.catch((error: unknown) => this.failed(error));
  }

  sendAndReport(target: ClusterTarget, frame: string): Promise<ClusterAnswers<DeliveryReport>> {
    return this.#ask(DELIVER, { target, frame }, REPORT_MS);
  }

  disconnect(target: ClusterTarget, goodbye: Goodbye): Promise<Revoked> {
    return this.revocations.revoke(target, goodbye);
  }

  connectionsOf(userId: string): Promise<ClusterAnswers<readonly ConnectionInfo[]>> {
    return this.#ask(CONNECTIONS, { target: { userId } }, REPORT_MS);
  }

  async #ask<Body extends { target: ClusterTarget }, Answer>(
    topic: Topic<Body, Answer>,
    request: Body,
    withinMs: number,
  ): Promise<ClusterAnswers<Answer>> {
    const publish = (text: string): Promise<Published> => this.#broadcast(request.target, text);
    try {
      return await this.bus.collect(topic, request, publish, withinMs);
    } catch (error) {
      this.failed(error);
      // Which of them hold the user cannot be known now.
      return { answers: new Map<string, Answer>(), silent: [...this.others()] };
    }
  }

  // Nobody knows where a connection is: all nodes are asked. Where a user is, the leases say.
  async #broadcast(target: ClusterTarget, text: string): Promise<Published> {
    const key =
      'userId' in target
        ? this.keys.ofUser(this.keys.hashOf(target.userId)).leases
        : this.keys.nodes;
    if (this.#waitingBytes + text.length > MAX_WAITING_BYTES) throw new BacklogError();
    this.#waitingBytes += text.length;
    try {
      const args = [this.keys.channelOf(''), this.nodeId, text];
      const reply = await BROADCAST.run(this.connections.get('publish'), [key], args);
      return readPublished(reply, this.connections.seesAllReceivers);
    } finally {
      this.#waitingBytes -= text.length;
    }
  }
}

/** Redis takes messages more slowly than they are sent. */
class BacklogError extends Error {
  override readonly name = 'BacklogError';

  constructor() {
    super(`more than ${MAX_WAITING_BYTES} bytes of messages wait for Redis`);
  }
}
