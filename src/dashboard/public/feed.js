import { $, el, setText } from './dom.js';
import { reconcile } from './reconcile.js';
import { clockTime, describe, plural, whole } from './words.js';

// The events, latest first. A repeated event is one line that counts. While it is paused, the list does not change, and
// shows how many lines wait.

const KEPT = 300;
const CHANGES = new Set(['cluster', 'operators']);
const isChange = (item) => CHANGES.has(describe(item).kind);

export class Feed {
  // Lines by their id, in the order of their latest event.
  #items = new Map();
  #waiting = new Map();
  #isPaused = false;
  latest = 0;

  constructor() {
    $('#pause').addEventListener('click', () => this.#pause(!this.#isPaused));
    $('#kind').addEventListener('change', () => this.#render());
    $('#feed-search').addEventListener('input', () => this.#render());
  }

  /** Adds new events and repetitions. */
  take({ latest, items }) {
    // Another process responds, or this one was restarted.
    if (latest < this.latest) this.#items.clear();
    this.latest = latest;
    if (items.length === 0) return;
    add(this.#isPaused ? this.#waiting : this.#items, items);
    if (this.#isPaused) this.#sayWaiting();
    else this.#render();
  }

  /** Deployments, drains, actions of operators and changes of the cluster, latest first. */
  get changes() {
    return [...this.#items.values()].filter(isChange).toReversed();
  }

  /** Shows one kind of events only. */
  show(kind) {
    $('#kind').value = kind;
    $('#feed-search').value = '';
    this.#render();
  }

  #pause(isPaused) {
    this.#isPaused = isPaused;
    $('#pause').setAttribute('aria-pressed', String(isPaused));
    $('#feed').classList.toggle('paused', isPaused);
    if (isPaused) this.#sayWaiting();
    else {
      setText($('#waiting'), '');
      add(this.#items, [...this.#waiting.values()]);
      this.#waiting.clear();
      this.#render();
    }
  }

  #sayWaiting() {
    const { size } = this.#waiting;
    setText($('#waiting'), size === 0 ? 'paused' : `paused · ${plural(size, 'new event')}`);
  }

  #render() {
    const kind = $('#kind').value;
    const wanted = $('#feed-search').value.trim().toLowerCase();
    const lines = [];
    for (const item of [...this.#items.values()].toReversed()) {
      const said = describe(item);
      if (kind !== 'all' && said.kind !== kind) continue;
      if (wanted !== '' && !said.text.toLowerCase().includes(wanted)) continue;
      lines.push({ ...item, said });
    }
    reconcile($('#feed'), lines, ({ id }) => id, create, update);
    $('#no-events').hidden = lines.length > 0;
    const isEmpty = this.#items.size === 0;
    setText(
      $('#no-events'),
      isEmpty ? 'No events yet. They are recorded while a dashboard is open.' : 'Nothing matches.',
    );
  }
}

function add(kept, items) {
  for (const item of items) {
    kept.delete(item.id);
    kept.set(item.id, item);
  }
  for (const id of kept.keys()) {
    if (kept.size <= KEPT) return;
    kept.delete(id);
  }
}

function create({ said: { kind, mark } }) {
  const sign = el('span', { className: 'sign' }, mark);
  sign.setAttribute('aria-hidden', 'true');
  const line = el(
    'li',
    {},
    el('time'),
    sign,
    el('span', { className: 'said' }),
    el('span', { className: 'times' }),
  );
  line.dataset.kind = kind;
  return line;
}

function update(line, { at, since, times, said }) {
  const time = $('time', line);
  time.dateTime = new Date(at).toISOString();
  setText(time, clockTime(at));
  setText($('.said', line), said.text);
  setText($('.times', line), times === 1 ? '' : `${whole(times)} times since ${clockTime(since)}`);
}
