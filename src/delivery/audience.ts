import type { Clock } from '../time/clock.js';
import type { ClusterDelivery, DeliveryTarget } from '../cluster/cluster-delivery.js';
import type {
  CallArgs,
  EventOf,
  NoContract,
  ReceivedReply,
  SentArgs,
  WithoutContract,
} from '../contract/message-types.js';
import type { Excepted } from '../history/event-history.js';
import type { ClusterAnswers } from '../history/cluster-answers.js';
import { BINARY_KEY, BinaryFrame } from '../wire/binary-frame.js';
import { addTo, count, type DeliveryReport, emptyReport } from '../wire/delivery-result.js';
import { assertEvent, encodeFrame } from '../wire/frame-encoding.js';
import { framePolicy, type FramePolicy, type SendOptions } from '../wire/send-policy.js';
import type { Message } from '../wire/write-frame.js';
import { ALONE } from '../manager/cluster-connections.js';
import { fanOut, type Hand } from '../manager/fan-out.js';
import type { AskOptions } from '../manager/asking.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';

/** The delivery of a message on every node that has connections for it. The counts are the sums over these nodes. */
export interface ClusterDeliveryReport extends DeliveryReport {
  /** The counts by node. Without a cluster, the only node is called `local`. */
  readonly nodes: Readonly<Record<string, DeliveryReport>>;
  /**
   * Nodes that have connections of the user and did not report in time. If the message could not be published: all
   * other known nodes.
   */
  readonly silent: readonly string[];
}

/** The connections that a message goes to: all that exist when it is sent, on this node and on every other node. */
export interface Audience<Events = NoContract> {
  /**
   * Sends `{"event", "data"}` to all these connections; serialised once. Only looks connections up, never makes any.
   * Without a connection, the report is all zeros. The report covers the connections of this process only; those of
   * other nodes get the message too, and {@link sendAsync} reports on them. With `{ policy: 'drop' }` or `'latest'`, the
   * message is not recorded in a history: it gets no position, and a client that returns does not get it.
   *
   * @throws {TypeError} for an event name that is no text or a policy that does not exist; nothing else
   */
  send<Event extends EventOf<Events>>(
    event: Event,
    ...sent: CallArgs<Events, Event, SendOptions>
  ): DeliveryReport;
  /** As `send`; resolves to the counts of all nodes, within two seconds. Rejects only with that `TypeError`. */
  sendAsync<Event extends EventOf<Events>>(
    event: Event,
    ...sent: CallArgs<Events, Event, SendOptions>
  ): Promise<ClusterDeliveryReport>;
  /**
   * Sends bytes to all these connections, as one binary frame each. A binary frame has no event, no topic and no
   * position: it is recorded in no history, and may overtake events of a thread or topic that has one. The report covers
   * the connections of this process only.
   *
   * @param options with `'latest'`, one binary frame is kept for each connection and topic: the newest
   * @throws {TypeError} for a value that is no `Uint8Array` or `ArrayBuffer` or a policy that does not exist
   */
  sendBinary(bytes: Uint8Array | ArrayBuffer, options?: SendOptions): DeliveryReport;
}

/** The connections of one user, which can be asked. */
export interface AskingAudience<
  Events = NoContract,
  Questions = NoContract,
> extends Audience<Events> {
  /**
   * Asks all these connections, on every node: sends `{"event", "data", "ask"}`. Resolves with the data of the first
   * answer; the others are told `{"event": "answered", "ask"}`. A client that answers with an error takes itself out;
   * the question is rejected when no other connection can answer. The answer is input of a client: check it.
   *
   * @example `await emitter.toThread(userId, threadId).ask<boolean>('approve', { tool }, { timeoutMs: 600_000 })`
   * @throws {AskTimeoutError} after `timeoutMs`, by default 10 seconds
   * @throws {AskRejectedError} when all connections that could answer have answered with an error
   * @throws {NoReceiverError} when no connection can answer: none is open, or all have closed, also with their node
   * @throws {AskLimitError} when all connections have `inbound.maxAsks` open questions, or the thread has as many
   * @throws {SendFailedError} when JSON cannot express the data
   * @throws the reason of `signal`, once it is aborted
   */
  ask<T = unknown>(
    event: WithoutContract<Questions>,
    data?: unknown,
    options?: AskOptions,
  ): Promise<T>;
  ask<Event extends EventOf<Questions>>(
    event: Event,
    ...asked: CallArgs<Questions, Event, AskOptions>
  ): Promise<ReceivedReply<Questions, Event>>;
}

/** Connections to which messages can be sent that must not get lost. */
export interface CriticalAudience<Events = NoContract> extends Audience<Events> {
  /**
   * As `send`, for messages that must not get lost. To a thread with `resume`, or a topic with `topics.history`, the
   * message is kept, within the bounds, even while no connection is there. Otherwise, and always with `toAll()`, it goes
   * to each connection of this process as with `emitCritical`, and to other nodes as with `send`. A connection that
   * cannot take it, because it closes or a thousand critical messages wait for it already, counts in `dropped`; the
   * others get the message.
   *
   * @throws {SendFailedError} when JSON cannot express the data
   */
  sendCritical<Event extends EventOf<Events>>(
    event: Event,
    ...sent: SentArgs<Events, Event>
  ): DeliveryReport;
}

/**
 * The connections that have a thread open and, with `resume` on, the clients that come back to it: an open question is
 * asked again of each of them, on any node, so that it waits for a client until its timeout.
 */
export interface ThreadAudience<Events = NoContract, Questions = NoContract>
  extends CriticalAudience<Events>, AskingAudience<Events, Questions> {}

/** The other nodes of a cluster. */
export interface OtherNodes {
  readonly delivery: ClusterDelivery;
  readonly nodeId: string;
}

/** The connections of different users: the members of a topic, or all connections. */
export interface SharedAudience<Events = NoContract> extends CriticalAudience<Events> {
  /** The same audience without one connection, or without all connections of a user. Further calls add up. */
  except(excepted: Excepted): SharedAudience<Events>;
}

/** An audience: the connections of this process, and the cluster's delivery to those of other nodes. */
export class Reach implements Audience {
  constructor(
    private readonly here: () => readonly WebSocketManager[],
    private readonly target: DeliveryTarget,
    private readonly clock: Clock,
    private readonly cluster: OtherNodes | undefined,
    /** Completes an encoded frame. */
    private readonly complete: (body: string) => string = (body) => body,
  ) {}

  send(event: string, data?: unknown, options?: SendOptions): DeliveryReport {
    assertEvent(event);
    const policy = this.#policy(event, options);
    const managers = this.here();
    const elsewhere = this.#elsewhere(managers);
    if (!elsewhere && managers.length === 0) return emptyReport();
    const frame = this.#encode(event, data);
    if (frame !== undefined) elsewhere?.send(this.target, frame, policy);
    return deliver(managers, frame, this.clock, policy);
  }

  sendBinary(bytes: Uint8Array | ArrayBuffer, options?: SendOptions): DeliveryReport {
    const policy = this.#policy(BINARY_KEY, options);
    const frame = BinaryFrame.of(bytes);
    const managers = this.here();
    this.#elsewhere(managers)?.send(this.target, frame, policy);
    return deliver(managers, frame, this.clock, policy);
  }

  async sendAsync(
    event: string,
    data?: unknown,
    options?: SendOptions,
  ): Promise<ClusterDeliveryReport> {
    const policy = this.#policy(event, options);
    const managers = this.here();
    const frame = this.#encode(event, data);
    const here = deliver(managers, frame, this.clock, policy);
    const elsewhere = this.#elsewhere(managers);
    const others =
      elsewhere && frame !== undefined
        ? await elsewhere.sendAndReport(this.target, frame, policy)
        : undefined;
    return clusterReport(this.cluster?.nodeId ?? ALONE, here, others);
  }

  #policy(event: string, options: SendOptions | undefined): FramePolicy | undefined {
    if (options === undefined) return undefined;
    return framePolicy(options, event, 'topic' in this.target ? this.target.topic : '');
  }

  #encode(event: string, data: unknown): string | undefined {
    const body = encodeFrame(event, data);
    return body && this.complete(body);
  }

  // A connection that is addressed by its id and found here is on no other node.
  #elsewhere({ length }: readonly WebSocketManager[]): ClusterDelivery | undefined {
    return 'connectionId' in this.target && length > 0 ? undefined : this.cluster?.delivery;
  }
}

/** Sends a message to connections of this process. `undefined` stands for data that JSON cannot express. */
export function deliver(
  managers: readonly WebSocketManager[],
  message: Message | undefined,
  clock: Clock,
  policy?: FramePolicy,
): DeliveryReport {
  if (message === undefined) return { ...emptyReport(), dropped: managers.length };
  // Most users have one connection here, for which the closures of a fan-out are not worth it.
  if (managers.length === 1) {
    const report = emptyReport();
    count(report, managers[0]!.sendFrame(message, policy));
    return report;
  }
  return fanOut(managers, message, clock, policy && handWith(policy));
}

function handWith(policy: FramePolicy): Hand {
  return (manager, frame, write) => manager.holdFrame(frame, policy) ?? write(manager, frame);
}

/** Returns the counts of each node, and their sums. */
export function clusterReport(
  nodeId: string,
  here: DeliveryReport | undefined,
  others: ClusterAnswers<DeliveryReport> | undefined,
): ClusterDeliveryReport {
  const total = emptyReport();
  const nodes: Record<string, DeliveryReport> = {};
  for (const [node, counts] of others?.answers ?? []) nodes[node] = counts;
  if (here) nodes[nodeId] = here;
  for (const counts of Object.values(nodes)) addTo(total, counts);
  return { ...total, nodes, silent: others?.silent ?? [] };
}
