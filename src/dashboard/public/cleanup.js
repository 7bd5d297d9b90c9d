import { $, el, setText } from './dom.js';
import { reconcile } from './reconcile.js';
import { fitToWidth, svg } from './svg.js';
import { clockTime, duration, plural, RUNS, whole } from './words.js';

// How many cleanups ran and how many connections they removed, in buckets of time. A bucket whose cleanups removed
// nothing is a small mark at the bottom; without cleanups the chart is empty.

const HEIGHT = 118;
const GROUND = HEIGHT - 20;
const LISTED = 6;

// The kinds differ in shape too, not only in colour.
const SHAPES = {
  proactive: (x, y) => svg('circle', { cx: x, cy: y, r: 3.5 }),
  emergency: (x, y) =>
    svg('polygon', { points: `${x},${y - 5} ${x + 5},${y} ${x},${y + 5} ${x - 5},${y}` }),
  expired: (x, y) => svg('rect', { x: x - 3.5, y: y - 3.5, width: 7, height: 7 }),
};

const kindOf = ({ kind }) => (SHAPES[kind] ? kind : 'proactive');
const isNotable = ({ removed, abandoned, late }) => removed > 0 || abandoned > 0 || late > 0;
const runsOf = ({ kind, runs }) => `${RUNS[kind] ?? kind}, ${plural(runs, 'run')}`;

function drawBucket(bucket, x, peak) {
  const kind = kindOf(bucket);
  const { from, removed, late } = bucket;
  const group = svg('g', { class: `run ${kind}${late > 0 ? ' late' : ''}` });
  if (removed === 0) {
    group.append(svg('line', { class: 'idle', x1: x, x2: x, y1: GROUND, y2: GROUND - 5 }));
    return group;
  }
  const y = GROUND - 12 - (removed / peak) * (GROUND - 32);
  group.append(svg('line', { x1: x, x2: x, y1: GROUND, y2: y }));
  const label = svg('text', { x, y: y - 8, class: 'small' });
  label.textContent = whole(removed);
  group.append(label);
  const mark = SHAPES[kind](x, y);
  mark.append(svg('title', {}, `${clockTime(from)} ${runsOf(bucket)}: ${removed} removed`));
  group.append(mark);
  return group;
}

function drawTimeline({ buckets, bucketMs }, { now, spanMs }) {
  const chart = $('#runs-chart');
  const width = fitToWidth(chart, HEIGHT);
  const shown = buckets.filter(({ from }) => from > now - spanMs);
  const peak = Math.max(1, ...shown.map(({ removed }) => removed));
  const x = (at) => 8 + ((Math.min(at, now) - now + spanMs) / spanMs) * (width - 16);
  const axis = svg('line', { x1: 0, x2: width, y1: GROUND, y2: GROUND, class: 'axis' });
  const labels = [15, 10, 5, 0].map((minutes) => {
    const at = now - minutes * 60_000;
    const end = { 0: 'end', 15: 'start' }[minutes] ?? '';
    const label = svg('text', { x: x(at), y: HEIGHT - 4, class: `small soft ${end}` });
    label.textContent = clockTime(at).slice(0, 5);
    return label;
  });
  const marks = shown.map((bucket) => drawBucket(bucket, x(bucket.from + bucketMs / 2), peak));
  chart.replaceChildren(axis, ...labels, ...marks);
  const count = (name) => shown.reduce((sum, bucket) => sum + bucket[name], 0);
  const summary =
    `${plural(count('runs'), 'run')} in the last 15 minutes, ` +
    `${plural(count('removed'), 'connection')} removed`;
  chart.setAttribute('aria-label', `Cleanup: ${summary}`);
  setText($('#runs-summary'), shown.length === 0 ? 'No cleanups recorded yet.' : `${summary}.`);
}

export function renderCleanups({ cleanups, now, history }) {
  drawTimeline(cleanups, { now, spanMs: history.spanMs });
  const notable = cleanups.buckets.filter(isNotable).slice(-LISTED).toReversed();
  $('#runs-table').hidden = notable.length === 0;
  reconcile(
    $('#runs'),
    notable,
    ({ from, kind }) => `${from}-${kind}`,
    ({ from }) =>
      el(
        'tr',
        {},
        el('td', {}, clockTime(from)),
        el('td', { className: 'kind' }),
        el('td', { className: 'right removed' }),
        el('td', { className: 'right abandoned' }),
        el('td', { className: 'right took' }),
      ),
    (row, bucket) => {
      const { removed, abandoned, late, longestMs } = bucket;
      setText($('.kind', row), runsOf(bucket));
      setText($('.removed', row), whole(removed));
      setText($('.abandoned', row), abandoned > 0 ? `✗ ${whole(abandoned)}` : '0');
      setText($('.took', row), late > 0 ? `✗ ${whole(late)} not in time` : duration(longestMs));
    },
  );
}
