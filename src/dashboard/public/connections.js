import { $, el, reconcile, setText } from './dom.js';
import { ask } from './server.js';
import { bytes, duration, NO_DATA, plural, whole } from './words.js';

// The list of connections: a search, a view, pages. The server searches and sends one page of the result.

const REFRESH_MS = 5_000;
const TYPING_MS = 250;

const STATES = { connecting: '◔', ready: '●', draining: '◑', closing: '◌', closed: '○' };

const cell = (className, ...children) => el('td', { className }, ...children);

export class Connections {
  #page = 1;
  #pages = 1;
  #abort;
  #askedAt = 0;
  #staleAfterMs = 600_000;
  #typing;

  constructor({ onPick, onProblem }) {
    this.onPick = onPick;
    this.onProblem = onProblem;
    $('#search').addEventListener('input', () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#restart(), TYPING_MS);
    });
    $('#view').addEventListener('change', () => this.#restart());
    $('#previous').addEventListener('click', () => this.#turn(-1));
    $('#next').addEventListener('click', () => this.#turn(1));
  }

  /** Called with every update of the state; loads the list again when it is due. */
  refresh({ limits }) {
    this.#staleAfterMs = limits.staleAfterMs;
    if (performance.now() - this.#askedAt >= REFRESH_MS - 100) void this.load();
  }

  searchFor(text) {
    $('#search').value = text;
    $('#view').value = 'all';
    this.#restart();
  }

  async load() {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.#askedAt = performance.now();
    const query = { view: $('#view').value, search: $('#search').value, page: this.#page };
    try {
      const answer = await ask('connections', query, abort.signal);
      if (!abort.signal.aborted) this.#render(answer);
    } catch (error) {
      if (!abort.signal.aborted) this.onProblem(error);
    }
  }

  /** Marks the row whose details are shown. */
  select(connectionId) {
    for (const row of $('#connections').children) {
      row.classList.toggle('selected', row.dataset.key === connectionId);
    }
    this.selected = connectionId;
  }

  #restart() {
    this.#page = 1;
    void this.load();
  }

  #turn(by) {
    this.#page = Math.min(this.#pages, Math.max(1, this.#page + by));
    void this.load();
  }

  #render({ rows, total, isCapped, page, pages }) {
    this.#page = page;
    this.#pages = pages;
    const isSearch = $('#search').value.trim() !== '';
    const found = `${whole(total)}${isCapped ? '+' : ''}`;
    const what = total === 1 && !isCapped ? 'connection' : 'connections';
    setText($('#found'), isSearch ? `${found} ${what} found` : `${found} ${what}`);
    setText($('#page-number'), `Page ${whole(page)} of ${whole(pages)}`);
    $('#pages').hidden = pages === 1;
    $('#previous').disabled = page <= 1;
    $('#next').disabled = page >= pages;
    $('#no-connections').hidden = rows.length > 0;
    setText($('#no-connections'), isSearch ? 'Nothing matches.' : 'No connections.');
    $('#connections-table').hidden = rows.length === 0;
    reconcile(
      $('#connections'),
      rows,
      ({ connectionId }) => connectionId,
      (row) => this.#create(row),
      (element, row) => this.#update(element, row),
    );
  }

  #create({ connectionId, userId, threadId }) {
    const open = el('button', { type: 'button', className: 'link', title: userId }, userId);
    open.setAttribute('aria-label', `Details of the connection ${connectionId} of ${userId}`);
    open.addEventListener('click', () => this.onPick(connectionId));
    const meter = el('span', { className: 'meter thin' }, el('span', { className: 'fill' }));
    return el(
      'tr',
      {},
      el('th', { scope: 'row' }, open),
      cell('wide', el('span', { className: 'clip', title: threadId }, threadId)),
      cell('state'),
      cell('idle', el('span', { className: 'idle-text' }), meter),
      cell('wide right age'),
      cell('wide right trip'),
      cell('wide right queue'),
    );
  }

  #update(element, row) {
    const { state, idleMs, ageMs, roundTripMs, queuedBytes, pins } = row;
    element.classList.toggle('selected', element.dataset.key === this.selected);
    element.dataset.state = state;
    const isPinned = pins > 0 && state === 'ready';
    setText(
      $('.state', element),
      isPinned ? `◆ ${plural(pins, 'pin')}` : `${STATES[state]} ${state}`,
    );
    const isStale = idleMs >= this.#staleAfterMs;
    $('.idle', element).classList.toggle('stale', isStale);
    setText($('.idle-text', element), `${duration(idleMs)}${isStale ? ' · stale' : ''}`);
    $('.idle .fill', element).style.width = `${Math.min(1, idleMs / this.#staleAfterMs) * 100}%`;
    setText($('.age', element), duration(ageMs));
    setText($('.trip', element), roundTripMs === null ? NO_DATA : duration(roundTripMs));
    setText($('.queue', element), queuedBytes === 0 ? '0' : bytes(queuedBytes));
  }
}
