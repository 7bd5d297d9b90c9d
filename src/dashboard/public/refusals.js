import { $, el, setText } from './dom.js';
import { reconcile } from './reconcile.js';
import { ADDRESS_CLASSES, code, IGNORED, percent, REFUSALS, whole } from './words.js';

// Why connections were refused, and why messages were not handled: the most frequent reason first.

const RECENT_MS = 5 * 60_000;

// How many there were in the last five minutes, and whether that is more or fewer than in the five before.
function trendOf(samples, counts, reason) {
  const now = samples.at(-1)?.at ?? 0;
  const countOf = (from, to) =>
    samples
      .filter(({ at }) => at > now - to && at <= now - from)
      .reduce((sum, { [counts]: steps }) => sum + (steps?.[reason] ?? 0), 0);
  const [recent, before] = [countOf(0, RECENT_MS), countOf(RECENT_MS, 2 * RECENT_MS)];
  if (recent === 0) return 'none in 5 min';
  if (recent === before) return `${whole(recent)} in 5 min`;
  return `${whole(recent)} in 5 min ${recent > before ? '↑' : '↓'}`;
}

const classOf = (kind) => ADDRESS_CLASSES[kind] ?? kind;

function renderNote(note, title, counts, nameOf) {
  const parts = Object.entries(counts)
    .toSorted(([, a], [, b]) => b - a)
    .map(([key, count]) => `${nameOf(key)} ${whole(count)}`);
  note.hidden = parts.length === 0;
  setText(note, `${title}: ${parts.join(' · ')}`);
}

function renderBars(list, counts, words, noteOf = () => '') {
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
    (bar, [reason, count]) => {
      $('.fill', bar).style.width = `${Math.max(1, (count / entries[0][1]) * 100)}%`;
      setText(
        $('.count', bar),
        [whole(count), percent(count / sum), noteOf(reason)].filter(Boolean).join(' · '),
      );
    },
  );
  return sum;
}

export function renderRefusals({ refusals, refusedCodes, refusedAddresses, traffic }, samples) {
  const trend = (reason) => trendOf(samples, 'refusedBy', reason);
  const trendOfIgnored = (reason) => trendOf(samples, 'ignoredBy', reason);
  const refused = renderBars($('#refusals'), refusals, REFUSALS, trend);
  renderNote($('#refusal-codes'), 'By code', refusedCodes, code);
  renderNote($('#refusal-addresses'), 'By address', refusedAddresses, classOf);
  $('#no-refusals').hidden = refused > 0;
  const ignored = renderBars($('#ignored'), traffic.unhandled, IGNORED, trendOfIgnored);
  $('#no-ignored').hidden = ignored > 0;
}
