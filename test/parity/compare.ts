import type { Form } from './scenario.js';
import type { Lanes } from './transcript.js';

/** A place where the transcript of a form differs from stock's: the lines of stock, and the lines of the form. */
export interface Hunk {
  readonly scenario: string;
  readonly form: Form;
  readonly lane: string;
  /** The lines of stock, translated where a known difference allows it. */
  readonly stock: readonly string[];
  readonly here: readonly string[];
}

/** Returns the differences of two transcripts, lane by lane. */
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

// Returns the lengths of the longest common subsequences from each pair of positions.
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
