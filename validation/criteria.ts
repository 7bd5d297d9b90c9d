import { isDeepStrictEqual } from 'node:util';

/** A criterion, and the measured value. */
export interface Criterion {
  readonly what: string;
  readonly expected: string;
  readonly measured: string;
  readonly holds: boolean;
}

/** The criteria of a check. A failed criterion is recorded and does not throw, so the check continues. */
export class Criteria {
  readonly all: Criterion[] = [];

  constructor(private readonly onCriterion: (criterion: Criterion) => void) {}

  /** Records whether the measured value equals the expected value. */
  equal(what: string, measured: unknown, expected: unknown): void {
    const holds = isDeepStrictEqual(measured, expected);
    this.add({ what, expected: shown(expected), measured: shown(measured), holds });
  }

  /** Records whether the measured value is at most `limit`. */
  atMost(what: string, measured: number, limit: number, unit: string): void {
    this.add({
      what,
      expected: `≤ ${rounded(limit)} ${unit}`,
      measured: `${rounded(measured)} ${unit}`,
      holds: measured <= limit,
    });
  }

  /** Records that the check has failed with an error. */
  broke(error: unknown): void {
    const measured = error instanceof Error ? error.message : String(error);
    this.add({ what: 'runs to its end', expected: 'no error', measured, holds: false });
  }

  /** Records a criterion that has been evaluated already. */
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

/** Returns a number with three significant digits; whole numbers, and numbers from 100, without decimals. */
export function rounded(value: number): string {
  return Number.isInteger(value) || Math.abs(value) >= 100
    ? String(Math.round(value))
    : String(Number(value.toPrecision(3)));
}
