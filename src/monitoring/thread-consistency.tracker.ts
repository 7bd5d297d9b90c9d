import { Inject, Injectable } from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { parseIsolationKey } from '../context/isolation-key.js';
import { Journal } from '../journal/journal.js';

/** The thread ids at one moment, by their source. */
export interface ThreadSnapshot {
  readonly context?: string | null | undefined;
  readonly manager?: string | null | undefined;
  /** A thread id, or an isolation key (`user:thread`), of which the thread is compared. */
  readonly key?: string | null | undefined;
  readonly message?: string | null | undefined;
  readonly cleanup?: string | null | undefined;
}

/** A snapshot in which two thread ids differed. */
export interface ThreadViolation {
  readonly at: Date;
  /** The thread id of each source. */
  readonly threadIds: Readonly<Partial<Record<keyof ThreadSnapshot, string>>>;
}

export interface ThreadConsistencyReport {
  readonly snapshots: number;
  readonly inconsistent: number;
  /** (snapshots − inconsistent) / snapshots × 100; 100 before the first. */
  readonly score: number;
  /** The latest violations, the oldest first. */
  readonly violations: readonly ThreadViolation[];
}

/** Most violations that the report lists: enough to see a pattern, bounded against a flood. */
const VIOLATIONS_KEPT = 100;

const SOURCES = ['context', 'manager', 'key', 'message', 'cleanup'] as const;

/** Checks that a connection, its manager, its messages and its cleanup all refer to the same thread. */
@Injectable()
export class ThreadConsistencyTracker {
  #snapshots = 0;
  #inconsistent = 0;
  readonly #violations: ThreadViolation[] = [];

  /** @internal */
  constructor(
    private readonly journal: Journal,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Records a snapshot. Returns false when two of its ids differ; absent and `null` ids are ignored. */
  record(snapshot: ThreadSnapshot): boolean {
    this.#snapshots += 1;
    const isConsistent = agree(snapshot);
    if (!isConsistent) this.#violate(snapshot);
    return isConsistent;
  }

  /** (snapshots − inconsistent) / snapshots × 100; 100 before the first. */
  score(): number {
    if (this.#snapshots === 0) return 100;
    return ((this.#snapshots - this.#inconsistent) / this.#snapshots) * 100;
  }

  getReport(): ThreadConsistencyReport {
    return {
      snapshots: this.#snapshots,
      inconsistent: this.#inconsistent,
      score: this.score(),
      violations: [...this.#violations],
    };
  }

  #violate(snapshot: ThreadSnapshot): void {
    this.#inconsistent += 1;
    const threadIds: Partial<Record<keyof ThreadSnapshot, string>> = {};
    for (const source of SOURCES) {
      const id = snapshot[source];
      if (isPresent(id)) threadIds[source] = id;
    }
    this.#violations.push({ at: new Date(this.clock.epoch()), threadIds });
    if (this.#violations.length > VIOLATIONS_KEPT) this.#violations.shift();
    this.journal.record('thread-inconsistent', {
      threadIds: Object.values(threadIds),
      sources: Object.keys(threadIds),
    });
  }
}

function agree({ context, manager, key, message, cleanup }: ThreadSnapshot): boolean {
  const ids = [context, manager, message, cleanup].filter(isPresent);
  const [first] = ids;
  if (first === undefined || !ids.every((id) => id === first)) return first === undefined;
  return !isPresent(key) || key === first || parseIsolationKey(key)?.threadId === first;
}

function isPresent(id: string | null | undefined): id is string {
  return id !== undefined && id !== null;
}
