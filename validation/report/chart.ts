import type { Step } from '../server/timeline.js';

/** The number of managers of a user over time. */
export interface Series {
  readonly name: string;
  readonly steps: readonly Step[];
}

export interface ManagersChart {
  readonly title: string;
  readonly series: readonly Series[];
  readonly durationMs: number;
}

const WIDTH = 860;
const HEIGHT = 260;
const LEFT = 44;
const RIGHT = 16;
const TOP = 40;
const BOTTOM = 34;
const LEGEND_ROW = 20;
const LIMIT = 20;

// The colours follow the reader's `prefers-color-scheme`, so that the chart is readable on white and on black.
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px } .tick { font-size: 12px }
  .grid { stroke: #d0d7de } .limit { stroke: #cf222e; stroke-dasharray: 5 4 } .limit-name { fill: #cf222e }
  .series { fill: none; stroke-width: 2; stroke-linejoin: round }
  .s0 { stroke: #1f6feb } .s1 { stroke: #bf8700 } .s2 { stroke: #1a7f37 } .s3 { stroke: #8250df } .s4 { stroke: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #30363d } .limit { stroke: #ff7b72 } .limit-name { fill: #ff7b72 }
    .s0 { stroke: #58a6ff } .s1 { stroke: #d29922 } .s2 { stroke: #3fb950 } .s3 { stroke: #bc8cff } .s4 { stroke: #f0883e }
  }`;

/** Returns a stand-alone SVG of the number of managers over time. */
export function managersChart({ title, series, durationMs }: ManagersChart): string {
  const most = Math.max(4, ...series.flatMap(({ steps }) => steps.map(([, managers]) => managers)));
  const x = (ms: number): number => LEFT + (ms / durationMs) * (WIDTH - LEFT - RIGHT);
  const y = (managers: number): number =>
    HEIGHT - BOTTOM - (managers / (most * 1.08)) * (HEIGHT - TOP - BOTTOM);
  const hasLegend = series.length > 1;
  const height = HEIGHT + (hasLegend ? Math.ceil(series.length / 3) * LEGEND_ROW + 6 : 0);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}: managers over time">`,
    `<style>${STYLE}\n</style>`,
    `<text class="title" x="${LEFT}" y="22">${escaped(title)}: managers over time</text>`,
    ...ticks(most).map((value) => horizontal(value, y(value))),
    ...ticks(durationMs / 1_000).map((second) => secondMark(second, x(second * 1_000))),
    ...(most >= LIMIT ? [limitLine(y(LIMIT))] : []),
    ...series.map(({ steps }, index) => stair(steps, durationMs, x, y, index)),
    ...(hasLegend ? series.map(({ name }, index) => legend(name, index)) : []),
    '</svg>\n',
  ].join('\n');
}

function stair(
  steps: readonly Step[],
  durationMs: number,
  x: (ms: number) => number,
  y: (managers: number) => number,
  index: number,
): string {
  const moves = steps.map(([ms, managers], at) =>
    at === 0
      ? `M${x(ms).toFixed(1)} ${y(managers).toFixed(1)}`
      : `H${x(ms).toFixed(1)}V${y(managers).toFixed(1)}`,
  );
  return `<path class="series s${index % 5}" d="${moves.join('')}H${x(durationMs).toFixed(1)}"/>`;
}

function horizontal(value: number, at: number): string {
  return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}"/><text class="tick" x="${LEFT - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${value}</text>`;
}

function secondMark(second: number, at: number): string {
  return `<text class="tick" x="${at.toFixed(1)}" y="${HEIGHT - 12}" text-anchor="middle">${second} s</text>`;
}

function limitLine(at: number): string {
  return `<line class="limit" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}"/><text class="limit-name tick" x="${WIDTH - RIGHT}" y="${(at - 5).toFixed(1)}" text-anchor="end">limit of a user: ${LIMIT}</text>`;
}

function legend(name: string, index: number): string {
  const left = LEFT + (index % 3) * 270;
  const middle = HEIGHT + Math.floor(index / 3) * LEGEND_ROW + 8;
  return `<line class="series s${index % 5}" x1="${left}" x2="${left + 22}" y1="${middle}" y2="${middle}"/><text x="${left + 30}" y="${middle + 4}">${escaped(name)}</text>`;
}

/** Returns about five round numbers from 0 to `most`. */
function ticks(most: number): number[] {
  const size = [1, 2, 5, 10, 20, 50, 100].find((step) => most / step <= 6) ?? most;
  return Array.from({ length: Math.floor(most / size) + 1 }, (_, index) => index * size);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
