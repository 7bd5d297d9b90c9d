import { Sparkline } from './chart.js';
import { $, el, setText } from './dom.js';
import { svg } from './svg.js';
import { bytes, clockTime, compact, NO_DATA, percent, plural, rate, whole } from './words.js';

// The six numbers at the top, each with a chart of the last 15 minutes.

const perMinute = (value) => (value === null ? null : value * 60);

const CARDS = [
  {
    name: 'Connections',
    value: (sample) => sample.connections,
    format: compact,
    note: (sample, state) => {
      if (sample.opened === null) return `of ${compact(state.limits.total)} possible`;
      return `+${rate(perMinute(sample.opened))} −${rate(perMinute(sample.closed))} a minute`;
    },
  },
  {
    name: 'Users',
    value: (sample) => sample.users,
    format: compact,
    note: (_sample, { users, limits }) =>
      users.full > 0
        ? `${plural(users.full, 'user')} at the limit of ${limits.perUser}`
        : `${whole(users.crowded)} near the limit of ${limits.perUser}`,
  },
  {
    name: 'Messages in',
    unit: '/s',
    value: (sample) => sample.messages,
    format: rate,
    note: (_sample, { traffic }) => `${compact(traffic.received)} in all`,
  },
  {
    name: 'Refused',
    unit: '/min',
    value: (sample) => perMinute(sample.refused),
    format: rate,
    note: (_sample, { refusals }) =>
      `${compact(Object.values(refusals).reduce((sum, count) => sum + count, 0))} in all`,
  },
  {
    name: 'Event loop busy',
    value: (sample) => sample.busy,
    format: percent,
    note: (sample) => (sample.cpu === null ? '' : `${percent(sample.cpu)} of a core used`),
  },
  {
    name: 'Memory',
    value: (sample) => sample.memoryBytes,
    format: bytes,
    note: () => 'resident',
  },
];

export class Cards {
  #cards;

  constructor() {
    this.#cards = CARDS.map((card) => this.#create(card));
    $('#cards').replaceChildren(...this.#cards.map(({ root }) => root));
  }

  render(state, samples) {
    const latest = samples.at(-1);
    const axis = { now: state.now, spanMs: state.history.spanMs, stepMs: state.history.stepMs };
    for (const { card, number, note, spark, points, scale } of this.#cards) {
      const value = latest ? card.value(latest) : null;
      setText(number, value === null ? NO_DATA : card.format(value));
      setText(note, latest ? card.note(latest, state) : 'no data yet');
      points.length = 0;
      for (const sample of samples) points.push({ at: sample.at, value: card.value(sample) });
      spark.draw(points, axis, card.name);
      this.#renderScale(scale, { points, card }, axis);
    }
  }

  #renderScale(scale, { points, card }, { now, spanMs }) {
    const values = points.flatMap(({ value }) => (value === null ? [] : [value]));
    const [from, peak, to] = scale.children;
    setText(from, clockTime(now - spanMs).slice(0, 5));
    setText(peak, values.length === 0 ? '' : `max ${card.format(Math.max(...values))}`);
    setText(to, clockTime(now).slice(0, 5));
  }

  #create(card) {
    const number = el('span', { className: 'number' }, NO_DATA);
    const unit = el('span', { className: 'unit' }, card.unit ?? '');
    const note = el('p', { className: 'note' });
    const readout = el('p', { className: 'readout', hidden: true });
    const chart = svg('svg', { class: 'spark' });
    const scale = el('p', { className: 'scale' }, el('span'), el('span'), el('span'));
    scale.setAttribute('aria-hidden', 'true'); // The label of the chart says the same.
    const root = el(
      'article',
      { className: 'card vital' },
      el('h2', {}, card.name),
      el('p', { className: 'value' }, number, unit),
      note,
      readout,
      chart,
      scale,
    );
    const points = [];
    const spark = new Sparkline(chart, { format: card.format });
    this.#watchPointer(root, { chart, note, readout, points, card });
    return { card, root, number, note, spark, points, scale };
  }

  // Shows the value at the time under the pointer.
  #watchPointer(root, { chart, note, readout, points, card }) {
    const show = (isShown) => {
      readout.hidden = !isShown;
      note.hidden = isShown;
    };
    root.addEventListener('pointermove', ({ clientX }) => {
      const { left, width } = chart.getBoundingClientRect();
      if (points.length === 0 || width === 0) return;
      const end = points.at(-1).at;
      const at = end - (1 - (clientX - left) / width) * 15 * 60_000;
      const nearest = points.reduce((best, point) =>
        Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best,
      );
      const isFar = Math.abs(nearest.at - at) > 15_000;
      const value = isFar || nearest.value === null ? 'no data' : card.format(nearest.value);
      setText(readout, `${clockTime(at)} · ${value}`);
      show(true);
    });
    root.addEventListener('pointerleave', () => show(false));
  }
}
