import type {
  ClusterDelivery,
  ClusterTarget,
  ConnectionInfo,
  DeliveryTarget,
  LocalDelivery,
  Revocation,
  Revoked,
} from '../cluster/cluster-delivery.js';
import type { ClusterAnswers } from '../history/cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import { BinaryFrame } from '../wire/binary-frame.js';
import type { FramePolicy } from '../wire/send-policy.js';
import type { Message } from '../wire/write-frame.js';
import type { RedisConnections } from './connections.js';
import type { Keys } from './keys.js';
import { PUBLISH } from './lua.js';
import { CONNECTIONS, DELIVER, DELIVER_BYTES, type Topic } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type Published, readPublished } from './published.js';
import type { Revocations } from './revocations.js';
import { BacklogError } from './redis-failure.js';
import { Script } from './script.js';

/** Milliseconds that a caller waits for the report about a message. */
export const REPORT_MS = 2_000;
/** Bytes of messages that wait for the reply of Redis. A message beyond that is not sent. */
const MAX_WAITING_BYTES = 16 * 1_048_576;

/**
 * KEYS a sorted set whose members begin with a node; ARGV prefix of node channels, a node to skip, message. `members`:
 * those that have not expired. The time stays a text: as a number it would have to be formatted again.
 */
const MEMBERS = `${PUBLISH}
local time = redis.call('TIME')
local now = time[1] .. string.sub('00000' .. time[2], -6, -4)
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
`;
/** Publishes to every node with such a member. Returns each of these nodes and its number of receivers. */
const BROADCAST = new Script(`${MEMBERS}
return publish(members, ARGV[1], ARGV[3], {}, ARGV[2])
`);
/** The same without an answer, for messages whose sender does not wait for one. */
const CAST = new Script(`${MEMBERS}
publish(members, ARGV[1], ARGV[3], nil, ARGV[2])
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
    /** The other nodes that are known. */
    private readonly others: () => readonly string[],
    /** A message could not be published. */
    private readonly failed: (error: unknown) => void,
  ) {}

  useLocalDelivery(local: LocalDelivery): void {
    this.bus.use(DELIVER, ({ target, frame, policy }) => local.deliver(target, frame, policy));
    this.bus.use(DELIVER_BYTES, ({ target, bytes, policy }) =>
      local.deliver(target, BinaryFrame.of(Buffer.from(bytes, 'base64')), policy),
    );
    this.revocations.useLocalDelivery(local);
    this.bus.use(CONNECTIONS, ({ target }) => local.connectionsOf(target.userId));
  }

  send(target: DeliveryTarget, message: Message, policy?: FramePolicy): void {
    const envelope =
      typeof message === 'string'
        ? this.bus.envelope(DELIVER, { target, frame: message, policy })
        : this.bus.envelope(DELIVER_BYTES, { target, bytes: base64(message), policy });
    this.#cast(target, envelope);
  }

  sendAndReport(
    target: DeliveryTarget,
    message: Message,
    policy?: FramePolicy,
  ): Promise<ClusterAnswers<DeliveryReport>> {
    return typeof message === 'string'
      ? this.#ask(DELIVER, { target, frame: message, policy }, REPORT_MS)
      : this.#ask(DELIVER_BYTES, { target, bytes: base64(message), policy }, REPORT_MS);
  }

  revoke(target: ClusterTarget, revocation: Revocation): Promise<Revoked> {
    return this.revocations.revoke(target, revocation);
  }

  connectionsOf(userId: string): Promise<ClusterAnswers<readonly ConnectionInfo[]>> {
    return this.#ask(CONNECTIONS, { target: { userId } }, REPORT_MS);
  }

  async #ask<Body extends { target: DeliveryTarget }, Answer>(
    topic: Topic<Body, Answer>,
    request: Body,
    withinMs: number,
  ): Promise<ClusterAnswers<Answer>> {
    const publish = (text: string): Promise<Published> => this.broadcast(request.target, text);
    try {
      return await this.bus.collect(topic, request, publish, withinMs);
    } catch (error) {
      this.failed(error);
      // It is unknown which nodes hold the user, so all of them count as silent.
      return { answers: new Map<string, Answer>(), silent: [...this.others()] };
    }
  }

  /** Publishes a text to the nodes that hold a target, without this one. Rejects when Redis does not take it. */
  async broadcast(target: DeliveryTarget, text: string): Promise<Published> {
    const reply = this.#publish(BROADCAST, target, text);
    try {
      return readPublished(await reply, this.connections.seesAllReceivers);
    } finally {
      this.#waitingBytes -= text.length;
    }
  }

  // As `broadcast`, with as few promises as possible: each of them is dearer on Node 20, where contexts follow them.
  #cast(target: DeliveryTarget, text: string): void {
    const taken = (): void => void (this.#waitingBytes -= text.length);
    try {
      this.#publish(CAST, target, text).then(taken, (error: unknown) => {
        taken();
        this.failed(error);
      });
    } catch (error) {
      // Later, as any other failure: listeners of the app hear of it.
      queueMicrotask(() => this.failed(error));
    }
  }

  /** The text counts as waiting from then on, unless this throws. */
  #publish(script: Script, target: DeliveryTarget, text: string): Promise<unknown> {
    if (this.#waitingBytes + text.length > MAX_WAITING_BYTES)
      throw new BacklogError(MAX_WAITING_BYTES);
    const args = [this.keys.channelOf(''), this.nodeId, text];
    const reply = script.run(this.connections.get('publish'), [this.#holdersOf(target)], args);
    this.#waitingBytes += text.length;
    return reply;
  }

  // The leases of a user name the nodes that hold it. No key names the node of a connection, so all nodes are asked.
  #holdersOf(target: DeliveryTarget): string {
    if ('userId' in target) return this.keys.ofUser(this.keys.hashOf(target.userId)).leases;
    if ('topic' in target) return this.keys.ofTopic(this.keys.hashOf(target.topic), 'nodes');
    return this.keys.nodes;
  }
}

function base64({ payload }: BinaryFrame): string {
  return payload.toString('base64');
}
