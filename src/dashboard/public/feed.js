import { $, el, setText } from './dom.js';
import { clockTime, describe, plural } from './words.js';

// The events, latest first. While it is paused, the list does not change, and shows how many new events wait.

const KEPT = 300;

export class Feed {
  #items = [];
  #waiting = [];
  #isPaused = false;
  latest = 0;

  constructor() {
    $('#pause').addEventListener('click', () => this.#pause(!this.#isPaused));
    $('#kind').addEventListener('change', () => this.#render());
    $('#feed-search').addEventListener('input', () => this.#render());
  }

  /** Adds new events. */
  take({ latest, items }) {
    // Another process responds, or this one was restarted.
    if (latest < this.latest) this.#items = [];
    this.latest = latest;
    if (items.length === 0) return;
    if (this.#isPaused) {
      this.#waiting = [...this.#waiting, ...items].slice(-KEPT);
      this.#sayWaiting();
      return;
    }
    this.#add(items);
  }

  #add(items) {
    this.#items = [...items.toReversed(), ...this.#items].slice(0, KEPT);
    this.#render();
  }

  #pause(isPaused) {
    this.#isPaused = isPaused;
    $('#pause').setAttribute('aria-pressed', String(isPaused));
    $('#feed').classList.toggle('paused', isPaused);
    if (isPaused) this.#sayWaiting();
    else {
      setText($('#waiting'), '');
      this.#add(this.#waiting.splice(0));
    }
  }

  #sayWaiting() {
    const { length } = this.#waiting;
    setText($('#waiting'), length === 0 ? 'paused' : `paused · ${plural(length, 'new event')}`);
  }

  #render() {
    const kind = $('#kind').value;
    const wanted = $('#feed-search').value.trim().toLowerCase();
    const lines = [];
    for (const item of this.#items) {
      const said = describe(item);
      if (kind !== 'all' && said.kind !== kind) continue;
      if (wanted !== '' && !said.text.toLowerCase().includes(wanted)) continue;
      lines.push(this.#line(item, said));
    }
    $('#feed').replaceChildren(...lines);
    $('#no-events').hidden = lines.length > 0;
    const isEmpty = this.#items.length === 0;
    setText(
      $('#no-events'),
      isEmpty ? 'No events yet. They are recorded while a dashboard is open.' : 'Nothing matches.',
    );
  }

  #line({ at }, { kind, mark, text }) {
    const time = el('time', { dateTime: new Date(at).toISOString() }, clockTime(at));
    const sign = el('span', { className: 'sign' }, mark);
    sign.setAttribute('aria-hidden', 'true');
    const line = el('li', {}, time, sign, el('span', { className: 'said' }, text));
    line.dataset.kind = kind;
    return line;
  }
}
