import { type Clock, epochAt } from '../time/clock.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { type ManagedSocket, SOCKET_OPEN } from '../wire/managed-socket.js';

/** The statistics of one connection, at the instant they are read. */
export interface ManagerStats {
  readonly userContext: Readonly<Record<string, unknown>>;
  readonly managerId: string;
  readonly isActive: boolean;
  readonly metrics: {
    /** Sockets attached to this manager: 0 before its socket is attached, then 1. */
    readonly connectionsManaged: number;
    readonly messagesSentTotal: number;
    readonly messagesFailedTotal: number;
    /** Time of the last traffic in either direction. */
    readonly lastActivity: Date;
    readonly managerAgeSeconds: number;
    /** Whether the manager is closing or closed. */
    readonly cleanupScheduled: boolean;
  };
  readonly connections: { readonly total: number; readonly connectionIds: readonly string[] };
  readonly recoveryQueueSize: number;
  readonly errorCount: number;
  readonly lastError: string | null;
}

/** The fields that the statistics are read from. */
interface StatsSource {
  readonly context: UserExecutionContext;
  readonly managerId: string;
  readonly isActive: boolean;
  readonly socket: ManagedSocket | undefined;
  readonly attachedTimes: number;
  readonly sentMessages: number;
  readonly failedMessages: number;
  readonly errors: number;
  readonly createdAt: number;
  readonly lastActivityAt: number;
  readonly lastError: string | undefined;
  readonly recoveryQueueSize: number;
}

export function readManagerStats(manager: StatsSource, clock: Clock): ManagerStats {
  const now = clock.now();
  const isOpen = manager.socket?.readyState === SOCKET_OPEN;
  return {
    userContext: manager.context.toJSON(),
    managerId: manager.managerId,
    isActive: manager.isActive,
    metrics: {
      connectionsManaged: manager.attachedTimes,
      messagesSentTotal: manager.sentMessages,
      messagesFailedTotal: manager.failedMessages,
      lastActivity: new Date(epochAt(clock, manager.lastActivityAt)),
      managerAgeSeconds: (now - manager.createdAt) / 1000,
      cleanupScheduled: !manager.isActive,
    },
    connections: {
      total: isOpen ? 1 : 0,
      connectionIds: isOpen ? [manager.context.connectionId] : [],
    },
    recoveryQueueSize: manager.recoveryQueueSize,
    errorCount: manager.errors,
    lastError: manager.lastError ?? null,
  };
}
