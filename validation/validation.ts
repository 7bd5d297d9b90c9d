import { until } from './clients/waiting.js';
import type { Check } from './checks/check.js';
import type { Group } from './checks/checks.js';
import { Criteria, type Criterion } from './criteria.js';
import type { Progress } from './progress.js';
import { randomFrom } from './random.js';
import type { CheckResult, Run } from './results.js';
import { Server } from './server/server.js';
import type { History } from './server/timeline.js';
import type { Fault } from './server/validation.gateway.js';

/** The deadline for a server to have no managers left after a check: longer than the deadline of a disposer. */
const EMPTY_WITHIN_MS = 8_000;

/** Runs the groups one after another, and the checks of a group at the same time. */
export async function validate(
  groups: readonly Group[],
  seed: number,
  fault: Fault | null,
  progress: Progress,
): Promise<Run> {
  const startedAt = new Date().toISOString();
  const from = performance.now();
  const results: Run['groups'][number][] = [];
  for (const { title, checks } of groups) {
    progress.group(title);
    const done = await Promise.all(checks.map((check) => runCheck(check, seed, fault, progress)));
    results.push({ title, checks: done });
  }
  return { startedAt, durationMs: performance.now() - from, seed, groups: results };
}

/** Returns all criteria of a run. */
export function criteriaOf({ groups }: Run): Criterion[] {
  return groups.flatMap(({ checks }) => checks.flatMap(({ criteria }) => criteria));
}

async function runCheck(
  check: Check,
  seed: number,
  fault: Fault | null,
  progress: Progress,
): Promise<CheckResult> {
  const { name, title, setUp } = check;
  const criteria = new Criteria((criterion) => progress.criterion(check, criterion));
  const from = performance.now();
  progress.started(check);
  let history: History | null = null;
  let server: Server | undefined;
  try {
    server = await Server.start(check.options, fault, !check.isMeasurement);
    await check.run({ server, user: name, criteria, random: randomFrom(seed) });
    history = await nothingIsLeft(server, criteria);
  } catch (error) {
    criteria.broke(error);
  } finally {
    await server?.end();
  }
  const holds = criteria.all.every((criterion) => criterion.holds);
  const durationMs = performance.now() - from;
  const result = { name, title, setUp, criteria: criteria.all, holds, durationMs, history };
  progress.finished(result);
  return result;
}

// Checks the criteria that must hold after every check.
async function nothingIsLeft(server: Server, criteria: Criteria): Promise<History> {
  const isEmpty = async (): Promise<boolean> =>
    (await server.call('statistics')).currentState.activeManagers === 0;
  await until(isEmpty, EMPTY_WITHIN_MS);
  const { ledger, suspects, unevenDisposals, users } = await server.call('leftover');
  const history = await server.stop();
  criteria.equal('managers left', ledger.active, 0);
  criteria.equal('users left', users, 0);
  criteria.equal('created and disposed of', ledger.disposed, ledger.created);
  criteria.equal('moments at which created was not active + disposed', history.ledgerFaults, 0);
  criteria.equal('scoped services not disposed of exactly once', unevenDisposals, []);
  criteria.equal(
    'leak suspects',
    suspects.map(({ cause, isolationKey }) => `${isolationKey} (${cause})`),
    [],
  );
  return history;
}
