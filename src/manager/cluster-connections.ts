import { assertSendable, CloseCode, type CloseInitiator, fitReason } from '../wire/close-codes.js';
import { drainingReason } from '../wire/retry-after.js';
import type { Clock } from '../time/clock.js';
import type {
  ClusterTarget,
  ConnectionInfo,
  Goodbye,
  Revoked,
} from '../cluster/cluster-delivery.js';
import type { Cluster } from '../cluster/cluster.js';
import { assertIdText } from '../context/identifier.js';
import type { Journal } from '../journal/journal.js';
import type { ManagerRegistry } from './manager-registry.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** The close code and reason for `disconnect`, `disconnectUser` and `disconnectThread`. */
export interface DisconnectOptions {
  /** Default 4401: the client should sign in again before it reconnects. */
  readonly code?: number;
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

/** The result of `disconnect`. */
export interface DisconnectReport {
  /** Connections that were closed, here and on all nodes that have confirmed. */
  readonly disconnected: number;
  /** Nodes that have not confirmed in time. */
  readonly unconfirmed: readonly string[];
  /**
   * Whether the cluster has recorded the request: then the unconfirmed nodes end the connections before they handle
   * another message of them. If not, because Redis is unreachable, they end them when this process reaches Redis again,
   * and never if this process ends before. True without a cluster.
   */
  readonly isRecorded: boolean;
}

/** Finds and ends connections on all nodes of the cluster. */
export class ClusterConnections {
  constructor(
    private readonly registry: ManagerRegistry,
    private readonly clock: Clock,
    private readonly journal: Journal,
    private readonly cluster: Cluster | undefined,
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
    // A connection that is found here by its id is on no other node.
    const isHere = 'connectionId' in target && this.addressed(target).length > 0;
    const elsewhere = isHere ? undefined : this.cluster?.delivery.disconnect(target, goodbye);
    const here = await this.disconnectHere(target, goodbye);
    const report = reportOf(here, await elsewhere);
    const { unconfirmed, isRecorded } = report;
    if (unconfirmed.length > 0 || !isRecorded) {
      this.journal.record('disconnect-unconfirmed', { ...target, unconfirmed, isRecorded });
    }
    return report;
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

  /** Ends connections of this process that were created before an instant (monotonic milliseconds). */
  disconnectHere(
    target: ClusterTarget,
    goodbye: Goodbye,
    before: number = Number.POSITIVE_INFINITY,
  ): Promise<number> {
    return closeAll(this.addressed(target).filter(isOlder(before)), goodbye, 'server');
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
function reportOf(here: number, elsewhere: Revoked | undefined): DisconnectReport {
  let disconnected = here;
  for (const number of elsewhere?.answers.values() ?? []) disconnected += number;
  const { silent: unconfirmed = [], isRecorded = true } = elsewhere ?? {};
  return { disconnected, unconfirmed, isRecorded };
}

/** Whether a target addresses one of the user's managers. */
function isAddressed(
  { context }: WebSocketManager,
  target: { readonly threadId?: string | undefined },
): boolean {
  return target.threadId === undefined || context.threadId === target.threadId;
}
