import { assertSendable, CloseCode, type CloseInitiator, fitReason } from '../wire/close-codes.js';
import { drainingReason } from '../wire/retry-after.js';
import type { Clock } from '../time/clock.js';
import type {
  ClusterTarget,
  ConnectionInfo,
  Goodbye,
  Revocation,
  Revoked,
} from '../cluster/cluster-delivery.js';
import type { Cluster } from '../cluster/cluster.js';
import { assertIdText } from '../context/identifier.js';
import type { Journal } from '../journal/journal.js';
import type { TopicMemberships } from './manager-owner.js';
import type { ManagerRegistry } from './manager-registry.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** The close code and reason for `disconnect`, `disconnectUser` and `disconnectThread`. */
export interface DisconnectOptions {
  /** Close code. Default: 4401, after which the client should sign in again before it reconnects. */
  readonly code?: number;
  /** Text of the close frame. Default: `disconnected`. */
  readonly reason?: string;
}

/** Node id of this process when there is no cluster. */
export const ALONE = 'local';

/** @throws {RangeError} for a code that may not be sent */
function goodbyeOf(options: DisconnectOptions): Goodbye {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError("Expected options such as { code: 4401, reason: 'signed out' }.");
  }
  const { code = CloseCode.UNAUTHORIZED, reason = 'disconnected' } = options;
  assertSendable(code);
  return { code, reason: fitReason(reason) };
}

function assertTarget(target: ClusterTarget): void {
  const given = (target ?? {}) as Partial<Record<'userId' | 'threadId' | 'connectionId', unknown>>;
  if (!('userId' in given)) return assertIdText(given.connectionId, 'connectionId');
  assertIdText(given.userId, 'userId');
  if (given.threadId !== undefined) assertIdText(given.threadId, 'threadId');
}

/** Whether all nodes have revoked what they were told to. */
interface Confirmation {
  /** Nodes that have not confirmed in time. */
  readonly unconfirmed: readonly string[];
  /**
   * Whether the cluster has recorded the request: then the unconfirmed nodes carry it out before they handle another
   * message of these connections. If not, because the cluster is away, they do so when it is back, and never if this
   * process ends before. True without a cluster.
   */
  readonly isRecorded: boolean;
}

/** The result of `disconnect`. */
export interface DisconnectReport extends Confirmation {
  /** Connections that were closed, here and on all nodes that have confirmed. */
  readonly disconnected: number;
}

/** The result of a removal from a topic. */
export interface RemovalReport extends Confirmation {
  /** Connections that were in the topic, here and on all nodes that have confirmed. */
  readonly removed: number;
}

/** Finds and ends connections on all nodes of the cluster, and takes them out of topics. */
export class ClusterConnections {
  constructor(
    private readonly registry: ManagerRegistry,
    private readonly clock: Clock,
    private readonly journal: Journal,
    private readonly cluster: Cluster | undefined,
    /** `undefined` while the application boots. */
    private readonly topics: () => TopicMemberships<WebSocketManager> | undefined,
  ) {}

  /** The managers of this process that a target addresses, without closing ones. */
  addressed(target: ClusterTarget): WebSocketManager[] {
    if (!('userId' in target)) {
      const manager = this.registry.get(target.connectionId);
      return manager?.isActive ? [manager] : [];
    }
    const managers = this.registry.slotsOf(target.userId)?.managers() ?? [];
    return managers.filter((manager) => manager.isActive && isAddressed(manager, target));
  }

  async connectionsOf(userId: string): Promise<ConnectionInfo[]> {
    assertIdText(userId, 'userId');
    const elsewhere = await this.cluster?.delivery.connectionsOf(userId);
    return [...this.connectionsHere(userId), ...[...(elsewhere?.answers.values() ?? [])].flat()];
  }

  /** The connections of a user on this process, as described to other nodes. */
  connectionsHere(userId: string): ConnectionInfo[] {
    const nodeId = this.cluster?.nodeId ?? ALONE;
    const now = this.clock.now();
    return this.addressed({ userId }).map((manager) => describeConnection(manager, nodeId, now));
  }

  /**
   * Ends connections here and on the other nodes. Records an event when nodes have not confirmed, or when the cluster
   * has not recorded the request.
   */
  async disconnect(target: ClusterTarget, options: DisconnectOptions): Promise<DisconnectReport> {
    assertTarget(target);
    const goodbye = goodbyeOf(options);
    const { count: disconnected, ...confirmation } = await this.#revoke(target, { goodbye });
    if (!isConfirmed(confirmation)) {
      this.journal.record('disconnect-unconfirmed', { ...target, ...confirmation });
    }
    return { disconnected, ...confirmation };
  }

  /** Takes connections out of a topic, here and on the other nodes, and tells their clients. They stay connected. */
  async removeFromTopic(target: ClusterTarget, topic: string): Promise<RemovalReport> {
    const { count: removed, ...confirmation } = await this.#revoke(target, { topic });
    if (!isConfirmed(confirmation)) {
      this.journal.record('topic-removal-unconfirmed', { ...target, topic, ...confirmation });
    }
    return { removed, ...confirmation };
  }

  /** As {@link disconnect}; resolves to the number of connections. */
  async disconnectCounted(target: ClusterTarget, options: DisconnectOptions): Promise<number> {
    return (await this.disconnect(target, options)).disconnected;
  }

  async disconnectThread(
    userId: string,
    threadId: string,
    options: DisconnectOptions,
  ): Promise<number> {
    // `undefined` would mean all threads of the user.
    assertIdText(threadId, 'threadId');
    return this.disconnectCounted({ userId, threadId }, options);
  }

  /**
   * Revokes something of connections of this process that were created before an instant (monotonic milliseconds).
   * Resolves to how many connections have lost it.
   */
  async revokeHere(
    target: ClusterTarget,
    revocation: Revocation,
    before: number = Number.POSITIVE_INFINITY,
  ): Promise<number> {
    const managers = this.addressed(target).filter(isOlder(before));
    if ('goodbye' in revocation) return closeAll(managers, revocation.goodbye, 'server');
    const { topic } = revocation;
    const topics = this.topics();
    return managers.filter((manager) => topics?.remove(manager, topic, 'removed')).length;
  }

  async #revoke(
    target: ClusterTarget,
    revocation: Revocation,
  ): Promise<{ count: number } & Confirmation> {
    // A connection that is found here by its id is on no other node.
    const isHere = 'connectionId' in target && this.addressed(target).length > 0;
    const elsewhere = isHere ? undefined : this.cluster?.delivery.revoke(target, revocation);
    const here = await this.revokeHere(target, revocation);
    return reportOf(here, await elsewhere);
  }

  /** Ends all connections of this process that were created before an instant (monotonic milliseconds). */
  disconnectOlder(before: number, goodbye: Goodbye): Promise<number> {
    return closeAll([...this.registry.all()].filter(isOlder(before)), goodbye, 'server');
  }

  /** Ends connections of this process, pinned ones too. Resolves to their number. */
  async cleanUp(target: ClusterTarget, reason: string): Promise<number> {
    assertTarget(target);
    return closeAll(this.addressed(target), { code: CloseCode.NORMAL, reason }, 'cleanup');
  }

  /** Ends all connections of this process. */
  async shutDown(): Promise<void> {
    const managers = [...this.registry.all()];
    const told = managers.map((manager) =>
      manager.beginClose(CloseCode.GOING_AWAY, drainingReason(), 'shutdown'),
    );
    await Promise.all(told);
  }
}

function isOlder(before: number): (manager: WebSocketManager) => boolean {
  return ({ createdAt }) => createdAt < before;
}

function isConfirmed({ unconfirmed, isRecorded }: Confirmation): boolean {
  return unconfirmed.length === 0 && isRecorded;
}

async function closeAll(
  managers: readonly WebSocketManager[],
  { code, reason }: Goodbye,
  initiator: CloseInitiator,
): Promise<number> {
  await Promise.all(managers.map((manager) => manager.beginClose(code, reason, initiator)));
  return managers.length;
}

/** Describes a connection to other nodes. */
function describeConnection(
  manager: WebSocketManager,
  nodeId: string,
  now: number,
): ConnectionInfo {
  const { connectionId, userId, threadId } = manager.context;
  const { state, createdAt, lastActivityAt } = manager;
  const idleMs = now - lastActivityAt;
  return { nodeId, connectionId, userId, threadId, state, ageMs: now - createdAt, idleMs };
}

/** Adds the results of the other nodes to the local one. */
function reportOf(here: number, elsewhere: Revoked | undefined): { count: number } & Confirmation {
  let count = here;
  for (const number of elsewhere?.answers.values() ?? []) count += number;
  const { silent: unconfirmed = [], isRecorded = true } = elsewhere ?? {};
  return { count, unconfirmed, isRecorded };
}

/** Whether a target addresses one of the user's managers. */
function isAddressed(
  { context }: WebSocketManager,
  target: { readonly threadId?: string | undefined },
): boolean {
  return target.threadId === undefined || context.threadId === target.threadId;
}
