import type { ShutdownOptions } from '../config/option-groups.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock } from '../time/clock.js';
import { CloseCode } from '../wire/close-codes.js';
import { drainingReason } from '../wire/retry-after.js';

/**
 * Connections that get a close frame at once. If all clients reconnected in one instant, they would overload a node.
 */
const BATCH = 100;
/** Mean pause between two batches, in milliseconds; the actual pause is random (jitter). */
const PAUSE_MS = 25;
/** How often a drain looks whether all clients have left by themselves, in milliseconds. */
const LOOK_MS = 1_000;

/** The share of `shutdown.deadlineMs` within which all close frames are sent; the rest is for disposers. */
export const TELLING_SHARE = 1 / 4;

/** How many connections are told at once, and the mean pause before the next ones, in milliseconds. */
interface GoodbyePlan {
  readonly batch: number;
  readonly pauseMs: number;
}

/**
 * Closes connections with 1001, batch after batch: within a share of `deadlineMs`, or spread over `spreadMs`. A
 * connection works as before until it is told. Resolves when all have ended, with their disposers.
 */
export async function sayGoodbye(
  clock: Clock,
  leaving: readonly WebSocketManager[],
  options: Readonly<ShutdownOptions>,
): Promise<void> {
  const { batch, pauseMs } = planFor(leaving.length, options);
  const startedAt = clock.now();
  const disposals: Promise<void>[] = [];
  for (let start = 0; start < leaving.length; start += batch) {
    // Measured from the start, so that late timers do not add up.
    const dueAt = startedAt + (start / batch + Math.random() - 1 / 2) * pauseMs;
    if (start > 0) await untilDue(clock, dueAt, () => leaving.some(({ isActive }) => isActive));
    for (const manager of leaving.slice(start, start + batch)) {
      manager.lease?.release();
      disposals.push(manager.beginClose(CloseCode.GOING_AWAY, drainingReason(), 'shutdown'));
    }
  }
  await Promise.all(disposals);
}

function planFor(count: number, { deadlineMs, spreadMs }: Readonly<ShutdownOptions>): GoodbyePlan {
  const isSpread = spreadMs > 0;
  const batch = isSpread ? Math.max(1, Math.ceil((count * PAUSE_MS) / spreadMs)) : BATCH;
  const batches = Math.max(1, Math.ceil(count / batch));
  const longestMs = (isSpread ? spreadMs : deadlineMs * TELLING_SHARE) / batches;
  return { batch, pauseMs: isSpread ? longestMs : Math.min(PAUSE_MS, longestMs) };
}

// Ends early when no connection is left that would have to be told.
async function untilDue(clock: Clock, dueAt: number, isNeeded: () => boolean): Promise<void> {
  for (let leftMs = dueAt - clock.now(); leftMs > 0 && isNeeded(); leftMs = dueAt - clock.now()) {
    const ms = Math.min(leftMs, LOOK_MS);
    await new Promise<void>((resolve) => void clock.after(ms, resolve));
  }
}
