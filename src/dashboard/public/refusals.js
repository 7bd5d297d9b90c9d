import { $, el, reconcile, setText } from './dom.js';
import { IGNORED, percent, REFUSALS, whole } from './words.js';

// Why connections were refused, and why messages were not handled: the most frequent reason first.

function renderBars(list, counts, words) {
  const entries = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .toSorted(([, a], [, b]) => b - a);
  const sum = entries.reduce((total, [, count]) => total + count, 0);
  reconcile(
    list,
    entries,
    ([reason]) => reason,
    ([reason]) =>
      el(
        'li',
        {},
        el('span', { className: 'name' }, words[reason] ?? reason),
        el('span', { className: 'meter' }, el('span', { className: 'fill' })),
        el('span', { className: 'count' }),
      ),
    (bar, [, count]) => {
      $('.fill', bar).style.width = `${Math.max(1, (count / entries[0][1]) * 100)}%`;
      setText($('.count', bar), `${whole(count)} · ${percent(count / sum)}`);
    },
  );
  return sum;
}

export function renderRefusals({ refusals, traffic }) {
  const refused = renderBars($('#refusals'), refusals, REFUSALS);
  $('#no-refusals').hidden = refused > 0;
  const failed = traffic.failed > 0 ? { 'handler failed': traffic.failed } : {};
  const ignored = renderBars($('#ignored'), { ...traffic.ignored, ...failed }, IGNORED);
  $('#no-ignored').hidden = ignored > 0;
}
