// The charts of reports, as SVG files. The colours follow the reader's preference for light or dark.

const WIDTH = 860;
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px } .tick { font-size: 12px }
  .theirs { fill: #8c959f } .ours { fill: #1f6feb } .spread { stroke: #24292f }
  .grid { stroke: #d0d7de } .limit { stroke: #cf222e; stroke-dasharray: 5 4 } .limit-name { fill: #cf222e }
  .series { fill: none; stroke-width: 2; stroke-linejoin: round }
  .s0 { stroke: #1f6feb } .s1 { stroke: #bf8700 } .s2 { stroke: #1a7f37 } .s3 { stroke: #8250df } .s4 { stroke: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .theirs { fill: #6e7681 } .ours { fill: #58a6ff } .spread { stroke: #e6edf3 }
    .grid { stroke: #30363d } .limit { stroke: #ff7b72 } .limit-name { fill: #ff7b72 }
    .s0 { stroke: #58a6ff } .s1 { stroke: #d29922 } .s2 { stroke: #3fb950 } .s3 { stroke: #bc8cff } .s4 { stroke: #f0883e }
  }`;

/** One bar, with the middle half of its rounds as a thin line. */
export interface Bar {
  readonly title: string;
  readonly label: string;
  readonly value: number;
  readonly lower: number;
  readonly upper: number;
  readonly isOurs: boolean;
}

/** Bars that share a scale. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const BARS = { labels: 350, values: 70, row: 26, height: 16, panelHead: 38, padding: 16 };

/** Draws horizontal bars, panel below panel. */
export function barChart(panels: readonly Panel[]): string {
  let top = BARS.padding;
  const drawn = panels.map((panel) => {
    const content = drawPanel(panel, top);
    top += BARS.panelHead + panel.bars.length * BARS.row + BARS.padding;
    return content;
  });
  return svg(top, undefined, drawn);
}

function drawPanel({ title, bars }: Panel, top: number): string {
  const most = Math.max(...bars.map(({ value, upper }) => Math.max(value, upper)));
  const scale = (WIDTH - BARS.labels - BARS.values - BARS.padding) / most;
  const rows = bars.map((bar, index) =>
    drawBar(bar, top + BARS.panelHead + index * BARS.row, scale),
  );
  const heading = `<text class="title" x="${BARS.padding}" y="${top + 18}">${escaped(title)}</text>`;
  return [heading, ...rows].join('\n');
}

function drawBar(bar: Bar, top: number, scale: number): string {
  const { labels, height } = BARS;
  const middle = top + height / 2;
  const text = middle + 5;
  const at = (value: number): string => fixed(labels + value * scale);
  const end = fixed(labels + Math.max(bar.value, bar.upper) * scale + 8);
  return [
    `<text x="${labels - 10}" y="${text}" text-anchor="end">${escaped(bar.title)}</text>`,
    `<rect class="${bar.isOurs ? 'ours' : 'theirs'}" x="${labels}" y="${top}" width="${fixed(bar.value * scale)}" height="${height}" rx="2"/>`,
    `<line class="spread" x1="${at(bar.lower)}" x2="${at(bar.upper)}" y1="${middle}" y2="${middle}"/>`,
    `<text x="${end}" y="${text}">${escaped(bar.label)}</text>`,
  ].join('\n');
}

/** A number, and the time since which it holds, in milliseconds since the start. */
export type Step = readonly [atMs: number, value: number];

/** One number over time. */
export interface Series {
  readonly name: string;
  readonly steps: readonly Step[];
}

export interface StepChart {
  readonly title: string;
  readonly series: readonly Series[];
  readonly durationMs: number;
  /** A value that is marked, where the series reach it. */
  readonly limit: { readonly value: number; readonly name: string };
}

const STEPS = { height: 260, left: 44, right: 16, top: 40, bottom: 34, legendRow: 20 };

/** Draws numbers over time, each as a line with steps. */
export function stepChart({ title, series, durationMs, limit }: StepChart): string {
  const { height, left, right, top, bottom, legendRow } = STEPS;
  const most = Math.max(4, ...series.flatMap(({ steps }) => steps.map(([, value]) => value)));
  const x = (ms: number): number => left + (ms / durationMs) * (WIDTH - left - right);
  const y = (value: number): number =>
    height - bottom - (value / (most * 1.08)) * (height - top - bottom);
  const hasLegend = series.length > 1;
  const legendHeight = hasLegend ? Math.ceil(series.length / 3) * legendRow + 6 : 0;
  return svg(height + legendHeight, title, [
    `<text class="title" x="${left}" y="22">${escaped(title)}</text>`,
    ...ticks(most).map((value) => gridLine(value, y(value))),
    ...ticks(durationMs / 1_000).map((second) => secondMark(second, x(second * 1_000))),
    ...(most >= limit.value ? [limitLine(limit, y(limit.value))] : []),
    ...series.map(({ steps }, index) => stair(steps, durationMs, x, y, index)),
    ...(hasLegend ? series.map(({ name }, index) => legend(name, index)) : []),
  ]);
}

function stair(
  steps: readonly Step[],
  durationMs: number,
  x: (ms: number) => number,
  y: (value: number) => number,
  index: number,
): string {
  const moves = steps.map(([ms, value], at) =>
    at === 0 ? `M${fixed(x(ms))} ${fixed(y(value))}` : `H${fixed(x(ms))}V${fixed(y(value))}`,
  );
  return `<path class="series s${index % 5}" d="${moves.join('')}H${fixed(x(durationMs))}"/>`;
}

function gridLine(value: number, at: number): string {
  const label = `<text class="tick" x="${STEPS.left - 8}" y="${fixed(at + 4)}" text-anchor="end">${value}</text>`;
  return horizontal('grid', at) + label;
}

function limitLine({ value, name }: StepChart['limit'], at: number): string {
  const label = `${escaped(name)}: ${value}`;
  return `${horizontal('limit', at)}<text class="limit-name tick" x="${WIDTH - STEPS.right}" y="${fixed(at - 5)}" text-anchor="end">${label}</text>`;
}

function horizontal(kind: 'grid' | 'limit', at: number): string {
  return `<line class="${kind}" x1="${STEPS.left}" x2="${WIDTH - STEPS.right}" y1="${fixed(at)}" y2="${fixed(at)}"/>`;
}

function secondMark(second: number, at: number): string {
  return `<text class="tick" x="${fixed(at)}" y="${STEPS.height - 12}" text-anchor="middle">${second} s</text>`;
}

function legend(name: string, index: number): string {
  const left = STEPS.left + (index % 3) * 270;
  const middle = STEPS.height + Math.floor(index / 3) * STEPS.legendRow + 8;
  return `<line class="series s${index % 5}" x1="${left}" x2="${left + 22}" y1="${middle}" y2="${middle}"/><text x="${left + 30}" y="${middle + 4}">${escaped(name)}</text>`;
}

/** Returns about five round numbers from 0 to `most`. */
function ticks(most: number): number[] {
  const size =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000].find((step) => most / step <= 6) ?? most;
  return Array.from({ length: Math.floor(most / size) + 1 }, (_, index) => index * size);
}

function svg(height: number, label: string | undefined, parts: readonly string[]): string {
  const name = label === undefined ? '' : ` aria-label="${escaped(label)}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img"${name}>`,
    `<style>${STYLE}\n</style>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
