import type { WebSocketIsolationOptions } from 'nestjs-websocket-isolation';

import type { Criteria } from '../criteria.js';
import type { Random } from '../random.js';
import type { Server } from '../server/server.js';

/** The argument of a check: its own server, and the criteria that it fills. */
export interface Stage {
  readonly server: Server;
  /** The user id of the check's connections. A check with several users uses it as the prefix of their ids. */
  readonly user: string;
  readonly criteria: Criteria;
  readonly random: Random;
}

/** A check of the validation. */
export interface Check {
  /** For the command line and for files. */
  readonly name: string;
  readonly title: string;
  /** The description of the check in the report. */
  readonly setUp: string;
  readonly options: WebSocketIsolationOptions;
  /** Whether the check measures speed or memory. If so, events and the timeline are not recorded. */
  readonly isMeasurement?: true;
  run(stage: Stage): Promise<void>;
}

/** The interval at which clients send messages to stay active. */
export const TALK_MS = 200;

/**
 * The options of all production scenarios: short times, so that connections become stale during a check, jobs that
 * run often, and the default limits.
 */
export const PRODUCTION = {
  cleanup: {
    staleAfterMs: 3_000,
    idleTimeoutMs: 6_000,
    proactiveIntervalMs: 100,
    emergencyIntervalMs: 100,
  },
  // Shorter than `staleAfterMs`, so that the heartbeat finds a dead connection first.
  heartbeat: { intervalMs: 500, timeoutMs: 1_500 },
} as const satisfies WebSocketIsolationOptions;
