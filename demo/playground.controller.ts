import { Controller, Get, Post } from '@nestjs/common';
import {
  LeakDetector,
  ThreadConsistencyTracker,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import { EventLog } from './event-log.js';

/** What the page shows beside its own connections. A real application keeps such things behind a guard. */
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

  // How many connections users have on the other nodes, where there are any.
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

  /** Removes what is stale, dead or was never attached, of all users. */
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
