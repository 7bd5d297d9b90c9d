import { isDeepStrictEqual } from 'node:util';

/** One thing that has to hold, and what was measured. */
export interface Criterion {
  readonly what: string;
  readonly expected: string;
  readonly measured: string;
  readonly holds: boolean;
}

/** What one check has to hold. Nothing throws: a criterion that fails is written down, and the next one is looked at. */
export class Criteria {
  readonly all: Criterion[] = [];

  constructor(private readonly onCriterion: (criterion: Criterion) => void) {}

  /** Exactly this. */
  equal(what: string, measured: unknown, expected: unknown): void {
    const holds = isDeepStrictEqual(measured, expected);
    this.add({ what, expected: shown(expected), measured: shown(measured), holds });
  }

  /** Not more than this, in this unit. */
  atMost(what: string, measured: number, limit: number, unit: string): void {
    this.add({
      what,
      expected: `≤ ${rounded(limit)} ${unit}`,
      measured: `${rounded(measured)} ${unit}`,
      holds: measured <= limit,
    });
  }

  /** The check itself came to nothing. */
  broke(error: unknown): void {
    const measured = error instanceof Error ? error.message : String(error);
    this.add({ what: 'runs to its end', expected: 'no error', measured, holds: false });
  }

  /** As another check has found it. */
  add(criterion: Criterion): void {
    this.all.push(criterion);
    this.onCriterion(criterion);
  }
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(shown).join(', ');
  if (typeof value === 'number') return rounded(value);
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([key, item]) => `${key} ${shown(item)}`)
      .join(', ');
  }
  return String(value);
}

/** Three digits that mean something; whole numbers whole. */
export function rounded(value: number): string {
  return Number.isInteger(value) || Math.abs(value) >= 100
    ? String(Math.round(value))
    : String(Number(value.toPrecision(3)));
}
