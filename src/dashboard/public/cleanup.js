import { $, el, reconcile, setText, svg } from './dom.js';
import { clockTime, duration, plural, RUNS, whole } from './words.js';

// When cleanups ran and how many connections they removed. A run that removed nothing is a small mark at the bottom;
// without runs the chart is empty.

const WIDTH = 480;
const HEIGHT = 110;
const GROUND = HEIGHT - 20;
const LISTED = 6;

// The kinds differ in shape too, not only in colour.
const SHAPES = {
  proactive: (x, y) => svg('circle', { cx: x, cy: y, r: 3.5 }),
  emergency: (x, y) =>
    svg('polygon', { points: `${x},${y - 5} ${x + 5},${y} ${x},${y + 5} ${x - 5},${y}` }),
  expired: (x, y) => svg('rect', { x: x - 3.5, y: y - 3.5, width: 7, height: 7 }),
};

function drawRun(run, x, peak) {
  const kind = SHAPES[run.kind] ? run.kind : 'proactive';
  const group = svg('g', { class: `run ${kind}${run.timedOut ? ' late' : ''}` });
  if (run.removed === 0) {
    group.append(svg('line', { class: 'idle', x1: x, x2: x, y1: GROUND, y2: GROUND - 5 }));
    return group;
  }
  const y = GROUND - 12 - (run.removed / peak) * (GROUND - 30);
  group.append(svg('line', { x1: x, x2: x, y1: GROUND, y2: y }));
  const label = svg('text', { x, y: y - 8, class: 'small' });
  label.textContent = whole(run.removed);
  group.append(label);
  const mark = SHAPES[kind](x, y);
  mark.append(svg('title', {}, `${clockTime(run.at)} ${RUNS[run.kind]}: ${run.removed} removed`));
  group.append(mark);
  return group;
}

function drawTimeline(runs, { now, spanMs }) {
  const chart = $('#runs-chart');
  const shown = runs.filter(({ at }) => at > now - spanMs);
  const peak = Math.max(1, ...shown.map(({ removed }) => removed));
  const x = (at) => 8 + ((at - now + spanMs) / spanMs) * (WIDTH - 16);
  const axis = svg('line', { x1: 0, x2: WIDTH, y1: GROUND, y2: GROUND, class: 'axis' });
  const labels = [-15, -10, -5, 0].map((minutes) => {
    const label = svg('text', {
      x: x(now + (minutes / 15) * spanMs),
      y: HEIGHT - 4,
      class: `small soft ${minutes === 0 ? 'end' : ''} ${minutes === -15 ? 'start' : ''}`,
    });
    label.textContent = minutes === 0 ? 'now' : `${minutes} min`;
    return label;
  });
  chart.replaceChildren(axis, ...labels, ...shown.map((run) => drawRun(run, x(run.at), peak)));
  const removed = shown.reduce((sum, run) => sum + run.removed, 0);
  const summary = `${plural(shown.length, 'run')} in the last 15 minutes, ${whole(removed)} removed`;
  chart.setAttribute('aria-label', `Cleanup: ${summary}`);
  setText($('#runs-summary'), shown.length === 0 ? 'No cleanups recorded yet.' : `${summary}.`);
}

export function renderCleanups(state) {
  const runs = state.cleanups;
  drawTimeline(runs, { now: state.now, spanMs: state.history.spanMs });
  const notable = runs
    .filter(({ removed, timedOut }) => removed > 0 || timedOut)
    .slice(-LISTED)
    .toReversed();
  $('#runs-table').hidden = notable.length === 0;
  reconcile(
    $('#runs'),
    notable,
    ({ at, kind }) => `${at}-${kind}`,
    ({ at, kind, removed, abandoned, durationMs, timedOut }) =>
      el(
        'tr',
        {},
        el('td', {}, clockTime(at)),
        el('td', {}, RUNS[kind] ?? kind),
        el('td', { className: 'right' }, whole(removed)),
        el('td', { className: 'right' }, abandoned > 0 ? `✗ ${whole(abandoned)}` : '0'),
        el('td', { className: 'right' }, timedOut ? '✗ not in time' : duration(durationMs)),
      ),
  );
}
