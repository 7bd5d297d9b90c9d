import { compare, type Hunk } from './compare.js';
import { type Difference, differences } from './differences.js';
import { runScenario } from './run-scenario.js';
import { type Form, forms, type Scenario } from './scenario.js';
import type { Lanes } from './transcript.js';

/** The result of a scenario. */
export interface Verdict {
  readonly scenario: string;
  /** Hunks that no entry of `differences.ts` explains. */
  readonly unexpected: readonly Hunk[];
  /** The `what` of the entries that explained a hunk. */
  readonly expected: readonly string[];
  /** Entries that should have differed in a form, but did not. */
  readonly missing: readonly string[];
  readonly lanes: Readonly<Partial<Record<Form, Lanes>>>;
}

/**
 * Runs a scenario in all of its forms, and compares each with stock.
 *
 * @param isOurs whether Nest is installed in the versions of this project. Other versions may have fixed a listed
 * difference, or may refuse to start an app of a scenario
 */
export async function judge(scenario: Scenario, isOurs: boolean): Promise<Verdict> {
  const lanes: Partial<Record<Form, Lanes>> = {};
  for (const form of forms) {
    if (!scenario.without?.includes(form)) lanes[form] = await runScenario(scenario, form);
  }
  const expected = new Set<string>();
  const missing: string[] = [];
  const broken = (lanes.stock!['script'] ?? []).filter((line) => line.includes('failed: '));
  // A script that fails in all forms in the same way would show no difference.
  if (isOurs && broken.length > 0 && !scenario.failsOnStock)
    throw new Error(`"${scenario.title}" does not run on stock: ${broken[0]}`);
  const unexpected = forms.flatMap((form) => {
    const here = lanes[form];
    if (form === 'stock' || !here) return [];
    const known = differences.filter((difference) => difference.forms.includes(form));
    const found = new Set<string>();
    const translated = translate(scenario.title, lanes.stock!, known, found);
    const rest = compare(scenario.title, form, translated, here).filter((hunk) => {
      const reason = known.find((difference) => difference.accountsFor?.(hunk));
      if (reason) found.add(reason.what);
      return !reason;
    });
    for (const { what, shownIn } of known) {
      if (found.has(what)) expected.add(what);
      else if (isOurs && shownIn?.test(scenario.title)) missing.push(`${form}: ${what}`);
    }
    return rest;
  });
  return { scenario: scenario.title, unexpected, expected: [...expected], missing, lanes };
}

// Translates stock's transcript by the known differences.
function translate(
  scenario: string,
  stock: Lanes,
  known: readonly Difference[],
  found: Set<string>,
): Lanes {
  const read = (line: string, lane: string): string[] => {
    let current: string | undefined = line;
    for (const difference of known) {
      if (!difference.translate || current === undefined) continue;
      const translated: string | undefined = difference.translate(current, { scenario, lane });
      if (translated !== current) found.add(difference.what);
      current = translated;
    }
    return current === undefined ? [] : [current];
  };
  return Object.fromEntries(
    Object.entries(stock).map(([lane, lines]) => [lane, lines.flatMap((line) => read(line, lane))]),
  );
}
