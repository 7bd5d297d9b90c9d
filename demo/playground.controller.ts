import { Controller, Get, Post } from '@nestjs/common';
import {
  LeakDetector,
  ThreadConsistencyTracker,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import { EventLog } from './event-log.js';

/** Data and actions of the server, for the page. A real application protects such routes with a guard. */
@Controller('playground')
export class PlaygroundController {
  constructor(
    private readonly factory: WebSocketManagerFactory,
    private readonly leaks: LeakDetector,
    private readonly tracker: ThreadConsistencyTracker,
    private readonly events: EventLog,
  ) {}

  @Get('state')
  async state(): Promise<unknown> {
    const stats = this.factory.getStats();
    const managers = Object.keys(stats.userDistribution).flatMap((userId) =>
      this.factory.managersOf(userId),
    );
    return {
      ...this.leaks.getReport(),
      stats,
      score: this.tracker.score(),
      managers: managers.map(describe),
      events: this.events.latest,
      others: await this.#others(Object.keys(stats.userDistribution)),
    };
  }

  // Resolves with the number of connections on other nodes, per user; empty without a cluster.
  async #others(userIds: readonly string[]): Promise<Record<string, number>> {
    const { cluster } = this.factory.getStats().currentState;
    if (!cluster) return {};
    const counts = userIds.map(async (userId) => {
      const connections = await this.factory.connectionsOf(userId);
      const others = connections.filter(({ nodeId }) => nodeId !== cluster.nodeId);
      return [userId, others.length] as const;
    });
    return Object.fromEntries(await Promise.all(counts));
  }

  /** Removes the managers of all users that are stale or dead, or never got a socket. */
  @Post('cleanup')
  async cleanup(): Promise<{ removed: number }> {
    return { removed: await this.factory.cleanupExpired() };
  }
}

function describe(manager: WebSocketManager): unknown {
  const { metrics } = manager.getStats();
  return {
    connectionId: manager.context.connectionId,
    userId: manager.context.userId,
    threadId: manager.context.threadId,
    state: manager.state,
    pins: manager.pins,
    idleMs: Date.now() - new Date(metrics.lastActivity).getTime(),
    ageSeconds: metrics.managerAgeSeconds,
    sent: metrics.messagesSentTotal,
    roundTripMs: manager.roundTripMs,
  };
}
