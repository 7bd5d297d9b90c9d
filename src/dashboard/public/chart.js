import { svg } from './svg.js';

// Lines over time. A zero is a line at the bottom; a time without data is hatched. The two must never look alike.

const WIDTH = 240;
const HEIGHT = 56;
const TOP = 6;

let hatches = 0;

function hatch() {
  hatches += 1;
  const id = `hatch-${hatches}`;
  const pattern = svg(
    'pattern',
    { id, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
    svg('line', { x1: 0, y1: 0, x2: 0, y2: 6, class: 'hatch' }),
  );
  return { id, defs: svg('defs', {}, pattern) };
}

/** Runs of neighbouring points with a value; a pause or a missing value ends a run. */
function runs(points, longestStepMs) {
  const found = [];
  let run = [];
  let before;
  for (const point of points) {
    const isApart = before !== undefined && point.at - before > longestStepMs;
    before = point.at;
    if (point.value === null || isApart) {
      if (run.length > 0) found.push(run);
      run = [];
    }
    if (point.value !== null) run.push(point);
  }
  if (run.length > 0) found.push(run);
  return found;
}

/** One line over the last minutes, drawn again with every update. */
export class Sparkline {
  constructor(root, { format }) {
    this.root = root;
    this.format = format;
    root.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    root.setAttribute('preserveAspectRatio', 'none');
    root.setAttribute('role', 'img');
    const { id, defs } = hatch();
    this.fill = `url(#${id})`;
    this.plot = svg('g');
    root.replaceChildren(defs, this.plot);
  }

  draw(points, { now, spanMs, stepMs }, label) {
    const from = now - spanMs;
    const x = (at) => Math.max(0, ((at - from) / spanMs) * WIDTH);
    const values = points.flatMap(({ value }) => (value === null ? [] : [value]));
    const peak = Math.max(0, ...values);
    const y = (value) => HEIGHT - 1 - (peak === 0 ? 0 : (value / peak) * (HEIGHT - TOP - 1));
    const parts = [];
    let covered = from;
    const cover = (until) => {
      if (until - covered > stepMs * 2.5) {
        const width = x(until) - x(covered);
        parts.push(svg('rect', { x: x(covered), y: 0, width, height: HEIGHT, fill: this.fill }));
      }
    };
    for (const run of runs(points, stepMs * 2.5)) {
      cover(run[0].at);
      covered = run.at(-1).at;
      const line = run.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
      // A polyline of a single point would be invisible.
      if (line.length === 1) line.unshift(`${(x(run[0].at) - 1).toFixed(1)},${y(run[0].value)}`);
      const left = line[0].split(',')[0];
      const right = line.at(-1).split(',')[0];
      parts.push(
        svg('polygon', {
          class: 'area',
          points: `${left},${HEIGHT} ${line.join(' ')} ${right},${HEIGHT}`,
        }),
        svg('polyline', { class: 'line', points: line.join(' ') }),
      );
    }
    cover(now);
    this.plot.replaceChildren(...parts);
    this.root.setAttribute('aria-label', this.#describe(label, values));
  }

  #describe(label, values) {
    if (values.length === 0) return `${label}, last 15 minutes: no data yet`;
    const [low, high] = [Math.min(...values), Math.max(...values)].map(this.format);
    return `${label}, last 15 minutes: between ${low} and ${high}, now ${this.format(values.at(-1))}`;
  }
}
