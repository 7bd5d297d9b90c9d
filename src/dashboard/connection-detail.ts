import type { Clock } from '../time/clock.js';
import type { OpenWork } from '../manager/asks.js';
import { creationSiteOf } from '../manager/creation-site.js';
import type { Limits } from '../manager/limits.js';
import type { ManagerRegistry } from '../manager/manager-registry.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { type ConnectionRow, rowOf } from './connection-list.js';

/** Topics, questions, streams, and other connections of the user, that are named. */
const MAX_NAMED = 50;

/** All facts about one connection that the page shows. */
export interface ConnectionDetail extends ConnectionRow {
  readonly runId: string;
  readonly requestId: string;
  readonly isolationKey: string;
  readonly managerId: string;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  /** Epoch milliseconds at which the identity expires. */
  readonly expiresAt: number | null;
  /** Epoch milliseconds at which the client last renewed its identity. */
  readonly renewedAt: number | null;
  /** Names only: the values may be private. */
  readonly metadataKeys: readonly string[];
  /** Milliseconds since the last sign of life: a message or a pong. */
  readonly seenMs: number;
  readonly pinLabels: readonly string[];
  readonly disposers: number;
  /** Up to 50 open questions to the client, and up to 50 open streams, each with its age. */
  readonly asks: readonly OpenWork[];
  readonly streams: readonly OpenWork[];
  /** Critical messages that wait to be sent. */
  readonly waitingCritical: number;
  readonly waitingLatest: number;
  readonly sent: number;
  readonly failed: number;
  readonly errors: number;
  readonly isReadingPaused: boolean;
  readonly closing: { code: number; reason: string; initiator: string; sinceMs: number } | null;
  readonly creationSite: string | null;
  /** How many topics the connection is in, and the names of up to 50. */
  readonly topics: { count: number; named: readonly { topic: string }[] };
  /** The slots of the user: how many are held, the limit, and up to 50 other connections. */
  readonly slots: { held: number; limit: number; others: readonly string[] };
}

/** Returns `undefined` for a connection that does not exist any more. */
export function readConnection(
  connectionId: string,
  registry: ManagerRegistry,
  limits: Limits,
  clock: Clock,
): ConnectionDetail | undefined {
  const manager = registry.get(connectionId);
  if (!manager) return undefined;
  const { context } = manager;
  const now = clock.now();
  return {
    ...rowOf(manager, now),
    runId: context.runId,
    requestId: context.requestId,
    isolationKey: context.isolationKey,
    managerId: manager.managerId,
    createdAt: context.createdAt.getTime(),
    expiresAt: manager.expiresAt?.getTime() ?? null,
    renewedAt: manager.renewedAt?.getTime() ?? null,
    metadataKeys: Object.keys(manager.metadata),
    seenMs: now - manager.lastSeenAt,
    pinLabels: manager.pins,
    disposers: manager.disposerCount,
    asks: manager.openAsks.slice(0, MAX_NAMED),
    streams: manager.openStreams.slice(0, MAX_NAMED),
    waitingCritical: manager.recoveryQueueSize,
    waitingLatest: manager.latestWaiting,
    sent: manager.sentMessages,
    failed: manager.failedMessages,
    errors: manager.errors,
    isReadingPaused: manager.isReadingPaused,
    closing: closingOf(manager, now),
    creationSite: creationSiteOf(manager) ?? null,
    topics: topicsOf(manager),
    slots: slotsOf(manager, registry, limits),
  };
}

function topicsOf({ topics }: WebSocketManager): ConnectionDetail['topics'] {
  const named = [...topics].slice(0, MAX_NAMED).map((topic) => ({ topic }));
  return { count: topics.size, named };
}

function closingOf(manager: WebSocketManager, now: number): ConnectionDetail['closing'] {
  const { closeReason, closingAt } = manager;
  return closeReason ? { ...closeReason, sinceMs: now - closingAt } : null;
}

function slotsOf(
  manager: WebSocketManager,
  registry: ManagerRegistry,
  { maxManagersPerUser: limit }: Limits,
): ConnectionDetail['slots'] {
  const slots = registry.slotsOf(manager.context.userId);
  const others: string[] = [];
  for (const other of slots ?? []) {
    if (others.length === MAX_NAMED) break;
    if (other !== manager) others.push(other.context.connectionId);
  }
  return { held: slots?.held ?? 0, limit, others };
}
