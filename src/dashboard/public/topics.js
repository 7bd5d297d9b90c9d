import { Aside, renderEntries, renderFacts } from './aside.js';
import { $, el, setText } from './dom.js';
import { PagedList } from './paged-list.js';
import { reconcile } from './reconcile.js';
import { ask } from './server.js';
import { bytes, NO_DATA, plural, rate, whole } from './words.js';

// The topics with members on this process: the largest first, a search, pages; and who is in one of them.

const cell = (className) => el('td', { className });

function kept(history) {
  if (history === null) return NO_DATA;
  return history.events === 0 ? '0' : `${whole(history.events)} · ${bytes(history.bytes)}`;
}

const SHORTEST_STEP_MS = 1_000;
const REMEMBERED = 500;

/** Messages per second, from two looks at the count of a topic. */
class Rates {
  #seen = new Map();

  /** The rate of a topic; `null` if it was not seen before, or counts anew. */
  take({ topic, messages }, at) {
    const before = this.#seen.get(topic);
    const isNew = !before || messages < before.messages || at < before.at;
    // Two looks in quick succession, for example while a search is typed, are one.
    if (!isNew && at - before.at < SHORTEST_STEP_MS) return before.rate;
    const perSecond = isNew ? null : ((messages - before.messages) * 1000) / (at - before.at);
    this.#seen.delete(topic);
    this.#seen.set(topic, { messages, at, rate: perSecond });
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.keys().next().value);
    return perSecond;
  }

  forget() {
    this.#seen.clear();
  }
}

export class Topics {
  #list;
  #rates = new Rates();

  constructor({ onPick, onProblem }) {
    this.onPick = onPick;
    this.#list = new PagedList({
      name: 'topics',
      search: $('#topic-search'),
      pages: $('#topic-pages'),
      render: (answer) => this.#render(answer),
      onProblem,
    });
  }

  /** Called with every update of the state. An app without topics gets no section for them. */
  refresh({ topics }) {
    const { count, memberships, pending, refusals, historyBytes } = topics;
    const refused = Object.entries(refusals).filter(([, times]) => times > 0);
    const section = $('#topics-section');
    if (count === 0 && refused.length === 0 && section.hidden) return;
    section.hidden = false;
    const parts = [plural(memberships, 'membership')];
    if (historyBytes !== null) parts.push(`${bytes(historyBytes)} of history`);
    if (pending > 0) parts.push(`${plural(pending, 'subscription')} waiting for the authorizer`);
    const codes = refused.map(([code, times]) => `${whole(times)} × ${code}`).join(', ');
    if (codes) parts.push(`refused subscriptions: ${codes}`);
    setText($('#topics-note'), parts.join(' · '));
    this.#list.refresh();
  }

  /** Another process responds: its counts are other ones. */
  forget() {
    this.#rates.forget();
  }

  load() {
    return $('#topics-section').hidden ? undefined : this.#list.load();
  }

  /** Marks the row whose details are shown. */
  select(name) {
    for (const row of $('#topics').children) {
      row.classList.toggle('selected', row.dataset.key === name);
    }
    this.selected = name;
  }

  #render({ rows, total, isCapped, at }) {
    const { isSearch } = this.#list;
    const found = `${plural(total, 'topic')}${isSearch ? ' found' : ''}`;
    setText($('#topics-found'), isCapped ? `${found}, the largest listed` : found);
    $('#no-topics').hidden = rows.length > 0;
    setText($('#no-topics'), isSearch ? 'Nothing matches.' : 'No connection is in a topic.');
    $('#topics-table').hidden = rows.length === 0;
    reconcile(
      $('#topics'),
      rows,
      ({ topic }) => topic,
      (row) => this.#create(row),
      (element, row) => this.#update(element, row, this.#rates.take(row, at)),
    );
  }

  #create({ topic: name }) {
    const open = el('button', { type: 'button', className: 'link', title: name }, name);
    open.setAttribute('aria-label', `Details of the topic ${name}`);
    open.addEventListener('click', () => this.onPick(name));
    const cells = ['right members', 'wide right users', 'right rate', 'wide right history'].map(
      cell,
    );
    return el('tr', {}, el('th', { scope: 'row' }, open), ...cells);
  }

  #update(element, { topic: name, members, users, history }, perSecond) {
    element.classList.toggle('selected', name === this.selected);
    setText($('.members', element), whole(members));
    setText($('.users', element), whole(users));
    setText($('.rate', element), rate(perSecond));
    setText($('.history', element), kept(history));
  }
}

/** Who is in one topic, while it is open. */
export class TopicDetail extends Aside {
  constructor({ onClose, onPickUser, actions }) {
    super($('#topic-detail'), { onClose });
    this.onPickUser = onPickUser;
    this.actions = actions;
  }

  clear() {
    $('#topic-facts').replaceChildren();
    $('#topic-users').replaceChildren();
    setText($('#topic-more'), '');
    setText($('#topic-title'), this.key);
  }

  async read(name) {
    return (await ask('topic', { name })).topic;
  }

  render(topic) {
    if (topic !== null) this.#renderTopic(topic);
    this.showGone(topic === null, 'No connection is in this topic any more.');
  }

  #renderTopic({ members, users, messages, history, named, isPart }) {
    renderFacts($('#topic-facts'), [
      ['Members', plural(members, 'connection')],
      ['Users', users === null ? `${NO_DATA} (too many to count)` : whole(users)],
      ['Messages', whole(messages)],
      ['Events kept', history === null ? 'none in this process' : kept(history)],
    ]);
    const name = this.key;
    renderEntries(
      $('#topic-users'),
      named.map(({ userId, connections }) => ({
        name: userId,
        note: connections > 1 ? plural(connections, 'connection') : '',
      })),
      {
        onPick: this.onPickUser,
        label: (userId) => `Connections of ${userId}`,
        remove: (userId) => this.actions.removeUser(userId, name),
        removeLabel: (userId) => `Remove ${userId} from this topic`,
      },
    );
    setText($('#topic-more'), isPart ? `The first ${whole(named.length)}; there are more.` : '');
  }
}
