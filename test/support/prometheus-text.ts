/** A series with its value. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with all its series. */
export interface Family {
  readonly name: string;
  readonly kind: string;
  readonly help: string;
  readonly series: Series[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SERIES =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]Inf|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;
const KINDS = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);

/** Parses the text format 0.0.4, more strictly than Prometheus. @throws for text that breaks the format */
export function parsePrometheusText(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the text has to end with a line feed');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let family: Family | undefined;
  let help: { name: string; text: string } | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (word === 'HELP') {
      if (!NAME.test(name) || families.has(name)) throw new Error(`a second or bad HELP: ${line}`);
      help = { name, text: rest };
    } else if (word === 'TYPE') {
      if (help?.name !== name || !KINDS.has(rest)) throw new Error(`a TYPE out of place: ${line}`);
      family = { name, kind: rest, help: help.text, series: [] };
      families.set(name, family);
      help = undefined;
    } else {
      const series = seriesOf(line);
      if (!family || !belongs(series.name, family)) throw new Error(`no TYPE for: ${line}`);
      const key = line.slice(0, line.lastIndexOf(' '));
      if (seen.has(key)) throw new Error(`the same series twice: ${key}`);
      seen.add(key);
      if (family.kind === 'counter' && !(series.value >= 0)) throw new Error(`negative: ${line}`);
      family.series.push(series);
    }
  }
  for (const found of families.values()) if (found.kind === 'histogram') checkBuckets(found);
  return families;
}

/** Returns the sum of the matching series; 0 if there is none. */
export function valueOf(
  families: Map<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  if (!family) throw new Error(`there is no metric ${name}`);
  const wanted = Object.entries(labels);
  return family.series
    .filter((series) => series.name === name)
    .filter((series) => wanted.every(([key, value]) => series.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

function seriesOf(line: string): Series {
  const [, name, labelText = '', value] = SERIES.exec(line) ?? [];
  if (name === undefined) throw new Error(`not a series: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < labelText.length) {
    const match = LABEL.exec(labelText);
    if (!match) throw new Error(`bad labels: ${line}`);
    const [, label, text] = match;
    if (Object.hasOwn(labels, label!)) throw new Error(`the same label twice: ${line}`);
    labels[label!] = text!;
  }
  return { name, labels, value: numberOf(value!) };
}

function numberOf(text: string): number {
  return text.endsWith('Inf') ? Number(text.replace('Inf', 'Infinity')) : Number(text);
}

function belongs(name: string, { name: family, kind }: Family): boolean {
  if (kind !== 'histogram') return name === family;
  return ['_bucket', '_sum', '_count'].some((suffix) => name === family + suffix);
}

// Buckets must be cumulative, and the last one must be +Inf and equal the count.
function checkBuckets({ name, series }: Family): void {
  const groups = new Map<string, Series[]>();
  for (const bucket of series.filter((one) => one.name === `${name}_bucket`)) {
    const key = keyOf(bucket);
    groups.set(key, [...(groups.get(key) ?? []), bucket]);
  }
  for (const [key, buckets] of groups) {
    const bounds = buckets.map(({ labels }) => numberOf(labels['le']!.replace(/^Inf/, '+Inf')));
    const counts = buckets.map(({ value }) => value);
    const count = series.find((one) => one.name === `${name}_count` && keyOf(one) === key);
    if (!isSorted(bounds) || !isSorted(counts)) throw new Error(`unsorted buckets: ${name}${key}`);
    if (bounds.at(-1) !== Infinity || counts.at(-1) !== count?.value) {
      throw new Error(`the last bucket is not the count: ${name}${key}`);
    }
  }
}

function keyOf({ labels }: Series): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return pairs
    .filter((pair) => !pair.startsWith('le='))
    .toSorted()
    .join();
}

function isSorted(values: readonly number[]): boolean {
  return values.every((value, index) => index === 0 || values[index - 1]! <= value);
}
