import type { Check } from './checks/check.js';
import type { Criterion } from './criteria.js';
import type { CheckResult } from './results.js';

/** Prints the progress to the terminal. */
export class Progress {
  readonly #startedAt = performance.now();

  constructor(private readonly print: (line: string) => void) {}

  group(title: string): void {
    this.print(`\n${title}`);
  }

  started({ title }: Check): void {
    this.#line('…', title);
  }

  criterion({ title }: Check, { what, expected, measured, holds }: Criterion): void {
    if (!holds) this.#line('✗', `${title}: ${what}: expected ${expected}, measured ${measured}`);
  }

  finished({ title, criteria, holds, durationMs }: CheckResult): void {
    const held = criteria.filter((criterion) => criterion.holds).length;
    const seconds = (durationMs / 1_000).toFixed(1);
    this.#line(holds ? '✓' : '✗', `${title}: ${held} of ${criteria.length}, ${seconds} s`);
  }

  #line(sign: string, text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1_000).toFixed(1).padStart(6);
    this.print(`${seconds} s  ${sign} ${text}`);
  }
}
