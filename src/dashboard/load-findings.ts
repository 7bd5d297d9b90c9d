import type { ClusterNode } from '../cluster/cluster-status.js';
import { type LoadSample, SAMPLE_MS } from './history.js';

/** Refusals per minute that are an incident, if they are a tenth of all arrivals at least. */
export const MANY_REFUSALS = 6;
const LARGE_SHARE = 0.1;
/** Share of time in which the event loop is busy, from which on latencies grow visibly. */
export const BUSY = 0.9;

/** Something that is wrong on another node. */
export interface LoadFinding {
  readonly kind: 'refusing' | 'failing' | 'event-loop-busy' | 'draining';
  readonly node: string;
  readonly count: number;
}

/** What is wrong on another node, by its heartbeats. The reasons are on its own page. */
export function* findingsOf({
  name: node,
  load,
  isDraining,
  connections,
}: ClusterNode): Iterable<LoadFinding> {
  if (isDraining) yield { kind: 'draining', node, count: connections };
  if (!load) return;
  const { refusedPerMinute: refused, openedPerMinute, busy } = load;
  const { failedPerMinute: failed, messagesPerSecond } = load;
  if (isRefusing(refused, openedPerMinute)) {
    yield { kind: 'refusing', node, count: Math.round(refused) };
  }
  if (isFailing(failed, messagesPerSecond * 60)) {
    yield { kind: 'failing', node, count: Math.round(failed) };
  }
  if (busy >= BUSY) yield { kind: 'event-loop-busy', node, count: percent(busy) };
}

/** Whether so many arrivals are refused that it is an incident. */
export function isRefusing(refusedPerMinute: number, openedPerMinute: number): boolean {
  const share = LARGE_SHARE * (refusedPerMinute + openedPerMinute);
  return refusedPerMinute >= MANY_REFUSALS && refusedPerMinute >= share;
}

/** Whether so many messages fail that it is an incident. */
export function isFailing(failedPerMinute: number, messagesPerMinute: number): boolean {
  return failedPerMinute >= MANY_REFUSALS && failedPerMinute >= LARGE_SHARE * messagesPerMinute;
}

export const percent = (share: number): number => Math.round(share * 100);

/** Why connections were refused, a minute, the most frequent reason first. */
export function reasonsIn(samples: readonly LoadSample[]): { reason: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const { refusedBy } of samples) {
    for (const [reason, times] of Object.entries(refusedBy)) {
      counts.set(reason, (counts.get(reason) ?? 0) + times);
    }
  }
  const { length } = samples.filter(({ refused }) => refused !== null);
  const perMinute = 60_000 / (Math.max(1, length) * SAMPLE_MS);
  return [...counts]
    .map(([reason, times]) => ({ reason, count: Math.round(times * perMinute) }))
    .toSorted((one, other) => other.count - one.count);
}

/** The mean of a value over the samples that have it. */
export function meanOf(
  samples: readonly LoadSample[],
  name: 'refused' | 'opened' | 'messages' | 'failed' | 'busy',
): number {
  const values = samples.flatMap(({ [name]: value }) => (value === null ? [] : [value]));
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
