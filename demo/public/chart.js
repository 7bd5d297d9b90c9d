import { CROWDED, LIMIT } from './limits.js';

/** The number of seconds that the chart shows. */
export const SAMPLES = 120;
const HEIGHT = 200;
const y = (count) => HEIGHT - 20 - (count * (HEIGHT - 35)) / (LIMIT + 2);

function svg(name, attributes, text = '') {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

/** Draws the number of connections of each person over time. */
export function renderChart(chart, everybody) {
  const people = [...everybody];
  // In the pixels of the page, so that the labels keep their size.
  const width = Math.max(240, chart.clientWidth);
  chart.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  const x = (index) => 30 + (index * (width - 110)) / (SAMPLES - 1);
  const parts = [0, CROWDED, LIMIT].flatMap((count) => {
    const kind = { [CROWDED]: 'proactive', [LIMIT]: 'limit' }[count] ?? 'grid';
    return [
      svg('line', { x1: 30, x2: width - 80, y1: y(count), y2: y(count), class: kind }),
      svg('text', { x: 24, y: y(count) + 4, 'text-anchor': 'end' }, String(count)),
    ];
  });
  for (const { samples, colour, userId } of people) {
    const start = SAMPLES - samples.length;
    const points = samples.map((count, index) => `${x(start + index)},${y(count)}`).join(' ');
    parts.push(svg('polyline', { points, stroke: colour }));
    const label = svg(
      'text',
      { x: width - 74, y: y(samples.at(-1) ?? 0) + 4 },
      userId.slice(0, 10),
    );
    label.style.fill = `color-mix(in srgb, ${colour} 55%, var(--ink))`;
    parts.push(label);
  }
  chart.replaceChildren(...parts);
  const summary = people.map(({ userId, samples }) => `${userId} ${samples.at(-1) ?? 0}`);
  chart.setAttribute('aria-label', `Connections now: ${summary.join(', ') || 'none'}`);
}
