/** A bar, with the middle half of its rounds as a thin line. */
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

const WIDTH = 860;
const LABELS = 350;
const VALUES = 70;
const ROW = 26;
const BAR = 16;
const PANEL_HEAD = 38;
const PADDING = 16;

// The colours follow the reader's `prefers-color-scheme`, so that the chart is readable on white and on black.
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .theirs { fill: #8c959f } .ours { fill: #1f6feb } .spread { stroke: #24292f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .theirs { fill: #6e7681 } .ours { fill: #58a6ff } .spread { stroke: #e6edf3 }
  }`;

/** Returns a stand-alone SVG with the panels below each other, each with horizontal bars. */
export function barChart(panels: readonly Panel[]): string {
  let top = PADDING;
  const drawn = panels.map((panel) => {
    const content = drawPanel(panel, top);
    top += PANEL_HEAD + panel.bars.length * ROW + PADDING;
    return content;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" role="img">`,
    `<style>${STYLE}\n</style>`,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}

function drawPanel({ title, bars }: Panel, top: number): string {
  const most = Math.max(...bars.map(({ value, upper }) => Math.max(value, upper)));
  const scale = (WIDTH - LABELS - VALUES - PADDING) / most;
  const rows = bars.map((bar, index) => drawBar(bar, top + PANEL_HEAD + index * ROW, scale));
  const heading = `<text class="title" x="${PADDING}" y="${top + 18}">${escaped(title)}</text>`;
  return [heading, ...rows].join('\n');
}

function drawBar(bar: Bar, top: number, scale: number): string {
  const middle = top + BAR / 2;
  const text = middle + 5;
  const at = (value: number): string => (LABELS + value * scale).toFixed(1);
  const end = (LABELS + Math.max(bar.value, bar.upper) * scale + 8).toFixed(1);
  return [
    `<text x="${LABELS - 10}" y="${text}" text-anchor="end">${escaped(bar.title)}</text>`,
    `<rect class="${bar.isOurs ? 'ours' : 'theirs'}" x="${LABELS}" y="${top}" width="${(bar.value * scale).toFixed(1)}" height="${BAR}" rx="2"/>`,
    `<line class="spread" x1="${at(bar.lower)}" x2="${at(bar.upper)}" y1="${middle}" y2="${middle}"/>`,
    `<text x="${end}" y="${text}">${escaped(bar.label)}</text>`,
  ].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
