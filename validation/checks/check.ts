import type { WebSocketIsolationOptions } from 'nestjs-websocket-isolation';

import type { Criteria } from '../criteria.js';
import type { Random } from '../random.js';
import type { Server } from '../server/server.js';

/** Where a check takes place: a server of its own, and what it has to hold. */
export interface Stage {
  readonly server: Server;
  /** Whose connections the check opens; where it needs several users, their ids begin with this. */
  readonly user: string;
  readonly criteria: Criteria;
  readonly random: Random;
}

/** One thing that is validated. */
export interface Check {
  /** For the command line and for files. */
  readonly name: string;
  readonly title: string;
  /** What is done, for the report. */
  readonly setUp: string;
  readonly options: WebSocketIsolationOptions;
  /** Measures speed or memory: nothing is written down meanwhile. */
  readonly isMeasurement?: true;
  run(stage: Stage): Promise<void>;
}

/** The interval at which clients talk that must not be taken for idle. */
export const TALK_MS = 200;

/**
 * What all production scenarios run with: times short enough to see things go stale, jobs that come
 * by all the time, and the limits as they are by default.
 */
export const PRODUCTION = {
  cleanup: {
    staleAfterMs: 3_000,
    idleTimeoutMs: 6_000,
    proactiveIntervalMs: 100,
    emergencyIntervalMs: 100,
  },
  // Sooner than anything goes stale: a dead line is found by its silence.
  heartbeat: { intervalMs: 500, timeoutMs: 1_500 },
} as const satisfies WebSocketIsolationOptions;
