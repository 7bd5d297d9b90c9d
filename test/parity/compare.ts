import type { Form } from './scenario.js';
import type { Lanes } from './transcript.js';

/** A place where a form differs from stock: what stands there, and what stands there instead. */
export interface Hunk {
  readonly scenario: string;
  readonly form: Form;
  readonly lane: string;
  /** As it would read here, where that can be said. */
  readonly stock: readonly string[];
  readonly here: readonly string[];
}

/** Where two transcripts differ, lane by lane. */
export function compare(scenario: string, form: Form, stock: Lanes, here: Lanes): Hunk[] {
  const lanes = [...new Set([...Object.keys(stock), ...Object.keys(here)])].toSorted();
  return lanes.flatMap((lane) =>
    hunksOf(stock[lane] ?? [], here[lane] ?? []).map((hunk) =>
      Object.assign(hunk, { scenario, form, lane }),
    ),
  );
}

type Lines = readonly string[];

function hunksOf(left: Lines, right: Lines): { stock: string[]; here: string[] }[] {
  const common = commonLengths(left, right);
  const hunks: { stock: string[]; here: string[] }[] = [];
  let open: { stock: string[]; here: string[] } | undefined;
  const hunk = () => {
    if (!open) hunks.push((open = { stock: [], here: [] }));
    return open;
  };
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      open = undefined;
      i += 1;
      j += 1;
    } else if (j >= right.length || (i < left.length && common[i + 1]![j]! >= common[i]![j + 1]!)) {
      hunk().stock.push(left[i]!);
      i += 1;
    } else {
      hunk().here.push(right[j]!);
      j += 1;
    }
  }
  return hunks;
}

// How long the longest common part is from each pair of places on.
function commonLengths(left: Lines, right: Lines): number[][] {
  const lengths = Array.from({ length: left.length + 1 }, () =>
    Array.from({ length: right.length + 1 }, () => 0),
  );
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      lengths[i]![j] =
        left[i] === right[j]
          ? lengths[i + 1]![j + 1]! + 1
          : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
    }
  }
  return lengths;
}
