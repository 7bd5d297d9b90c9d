import { $, el, setText } from './dom.js';
import { PagedList } from './paged-list.js';
import { reconcile } from './reconcile.js';
import { bytes, duration, NO_DATA, plural } from './words.js';

// The list of connections: a search, a view, pages.

const STATES = { connecting: '◔', ready: '●', draining: '◑', closing: '◌', closed: '○' };

const cell = (className, ...children) => el('td', { className }, ...children);

export class Connections {
  #list;
  #staleAfterMs = 600_000;

  constructor({ onPick, onProblem }) {
    this.onPick = onPick;
    this.#list = new PagedList({
      name: 'connections',
      search: $('#search'),
      pages: $('#pages'),
      query: () => ({ view: $('#view').value }),
      render: (answer) => this.#render(answer),
      onProblem,
    });
    $('#view').addEventListener('change', () => this.#list.restart());
  }

  /** Called with every update of the state; loads the list again when it is due. */
  refresh({ limits }) {
    this.#staleAfterMs = limits.staleAfterMs;
    this.#list.refresh();
  }

  load() {
    return this.#list.load();
  }

  /** Shows the connections of a user, and goes there. */
  searchFor(text) {
    $('#search').value = text;
    $('#view').value = 'all';
    this.#list.restart();
    const title = $('#connections-title');
    title.scrollIntoView();
    title.focus({ preventScroll: true });
  }

  /** Marks the row whose details are shown. */
  select(connectionId) {
    for (const row of $('#connections').children) {
      row.classList.toggle('selected', row.dataset.key === connectionId);
    }
    this.selected = connectionId;
  }

  #render({ rows, total }) {
    const { isSearch } = this.#list;
    const found = plural(total, 'connection');
    setText($('#found'), isSearch ? `${found} found` : found);
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
    setText($('.state', element), isPinned ? '◆ busy' : `${STATES[state]} ${state}`);
    const isStale = idleMs >= this.#staleAfterMs;
    $('.idle', element).classList.toggle('stale', isStale);
    setText($('.idle-text', element), `${duration(idleMs)}${isStale ? ' · stale' : ''}`);
    $('.idle .fill', element).style.width = `${Math.min(1, idleMs / this.#staleAfterMs) * 100}%`;
    setText($('.age', element), duration(ageMs));
    setText($('.trip', element), roundTripMs === null ? NO_DATA : duration(roundTripMs));
    setText($('.queue', element), queuedBytes === 0 ? '0' : bytes(queuedBytes));
  }
}
