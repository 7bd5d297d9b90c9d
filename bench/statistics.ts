/** The values of a measure in the order of the rounds, and their median and quartiles. */
export interface Summary {
  readonly median: number;
  /** The lower quartile. Half of the rounds lie between it and `upper`. */
  readonly lower: number;
  readonly upper: number;
  readonly values: readonly number[];
}

export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    lower: quantile(sorted, 0.25),
    upper: quantile(sorted, 0.75),
    values,
  };
}

/** Returns the value below which this share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    share,
  );
}

function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  return below + (above - below) * (position - Math.floor(position));
}
