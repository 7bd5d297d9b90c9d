import { $, el, setText } from './dom.js';
import { reconcile } from './reconcile.js';
import { fitToWidth, svg } from './svg.js';
import { plural, whole } from './words.js';

// The users with the most connections, and the distribution of connections over users, with marks at the numbers at
// which cleanup and refusal begin.

const levelOf = (held, { crowdedFrom, perUser }) => {
  if (held >= perUser) return 'full';
  return held >= crowdedFrom ? 'crowded' : 'fine';
};
const WORDS = { full: ' · at the limit', crowded: ' · near the limit', fine: '' };

function createBar(onPick) {
  return ({ userId }) => {
    const name = el('button', { type: 'button', className: 'link name', title: userId }, userId);
    name.addEventListener('click', () => onPick(userId));
    const meter = el('span', { className: 'meter' }, el('span', { className: 'all' }));
    meter.append(
      el('span', { className: 'fill' }),
      el('span', { className: 'mark crowded' }),
      el('span', { className: 'mark full' }),
    );
    return el('li', {}, name, meter, el('span', { className: 'count' }));
  };
}

function updateBar(bar, { held: here, everywhere }, limits) {
  const held = everywhere ?? here;
  const level = levelOf(held, limits);
  bar.dataset.level = level;
  const scale = limits.perUser * 1.04;
  $('.fill', bar).style.width = `${Math.min(100, (here / scale) * 100)}%`;
  $('.all', bar).style.width = `${Math.min(100, (held / scale) * 100)}%`;
  $('.mark.crowded', bar).style.left = `${(limits.crowdedFrom / scale) * 100}%`;
  $('.mark.full', bar).style.left = `${(limits.perUser / scale) * 100}%`;
  const part = everywhere === undefined ? '' : ` · ${here} here`;
  setText($('.count', bar), `${held} of ${limits.perUser}${part}${WORDS[level]}`);
}

const HEIGHT = 190;
const DIGIT_WIDTH = 8;
const LABEL_HEIGHT = 14;
const GROUND = HEIGHT - 22;

// Heights are logarithmic: otherwise the many users with one connection would flatten all other columns.
function drawDistribution(chart, { step, users }, limits) {
  const width = fitToWidth(chart, HEIGHT);
  const peak = Math.log2(1 + Math.max(1, ...users));
  const slot = width / users.length;
  let labelled = { end: 0, y: 0 };
  const parts = users.flatMap((count, index) => {
    const held = (index + 1) * step;
    const height = count === 0 ? 0 : 4 + (Math.log2(1 + count) / peak) * (GROUND - 22);
    const x = index * slot + 2;
    const level = levelOf(held, limits);
    const column = svg('rect', {
      x,
      y: GROUND - height,
      width: slot - 4,
      height,
      rx: 2,
      class: `column ${level}`,
    });
    column.append(svg('title', {}, `${plural(count, 'user')} with ${held}`));
    const middle = x + slot / 2 - 2;
    const y = GROUND - height - 4;
    const half = (whole(count).length * DIGIT_WIDTH) / 2;
    // The first number would begin outside of the chart.
    const above = svg('text', { x: Math.max(half, middle), y, class: 'small' });
    // A number that would overlap its neighbour is shown under the pointer only.
    const isFree = middle - half >= labelled.end || Math.abs(y - labelled.y) >= LABEL_HEIGHT;
    if (count > 0 && isFree) {
      above.textContent = whole(count);
      labelled = { end: middle + half, y };
    }
    const below = svg('text', { x: middle, y: HEIGHT - 6, class: 'small soft' });
    const isNamed = held === step || held === limits.crowdedFrom || held >= limits.perUser;
    below.textContent = isNamed || held % (5 * step) === 0 ? held : '';
    return [column, above, below];
  });
  parts.push(svg('line', { x1: 0, x2: width, y1: GROUND, y2: GROUND, class: 'axis' }));
  chart.replaceChildren(...parts);
}

export function renderUsers({ users, limits, cluster }, onPick) {
  $('#no-users').hidden = users.top.length > 0;
  reconcile(
    $('#top-users'),
    users.top,
    ({ userId }) => userId,
    createBar(onPick),
    (bar, user) => updateBar(bar, user, limits),
  );
  setText(
    $('#users-note'),
    (cluster
      ? 'The limit counts on all nodes: the pale part of a bar is on other ones. The chart counts this node only. '
      : '') +
      `Marks: from ${limits.crowdedFrom} connections on, a new one first removes dead and stale ones; at ` +
      `${limits.perUser}, a new one ${limits.overflow === 'reject' ? 'is refused' : 'replaces the least active one'}.`,
  );
  const chart = $('#distribution');
  drawDistribution(chart, users.distribution, limits);
  chart.setAttribute(
    'aria-label',
    `Connections per user${cluster ? ' on this node' : ''}: ${plural(users.count, 'user')}, ${users.crowded} with ${limits.crowdedFrom} or more, ` +
      `${users.full} with all ${limits.perUser}`,
  );
}
