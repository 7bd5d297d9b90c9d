import { $, el, setText } from './dom.js';
import { INCIDENTS } from './incident-words.js';
import { reconcile } from './reconcile.js';
import {
  clockTime,
  describe,
  duration,
  NO_DATA,
  percent,
  plural,
  REFUSALS,
  whole,
} from './words.js';

// What is wrong, where, since when, who and why, and what to do about it; and what changed lately. Each incident leads to
// its part of the page.

const CHANGES = 6;
/** Milliseconds for which the start of another node is a change. */
const LATELY_MS = 60 * 60_000;
const UNKNOWN = { say: ({ kind }) => kind, advice: '', section: 'feed-title' };

const wordsOf = ({ kind }) => INCIDENTS[kind] ?? UNKNOWN;
// A drain of another node is what a deployment looks like.
const isNotice = ({ kind, node }) =>
  wordsOf({ kind }).isNotice === true || (kind === 'draining' && node !== undefined);

/** How many of them are more than a notice. */
export const countIncidents = (incidents) =>
  incidents.filter((incident) => !isNotice(incident)).length;

const timesIn = (list) => list.reduce((sum, { times }) => sum + times, 0);
const timesEach = (list, field) =>
  list.map(({ [field]: name, times }) => `${name} (${whole(times)})`).join(', ');

export class Incidents {
  #feed;
  #onPickUser;
  #wasCalm = true;

  /** @param feed the feed, which an incident can filter */
  constructor(feed, onPickUser) {
    this.#feed = feed;
    this.#onPickUser = onPickUser;
  }

  render({ incidents, now, node, cluster }) {
    const length = countIncidents(incidents);
    $('#incidents').classList.toggle('calm', length === 0);
    setText($('#incidents-title'), length === 0 ? 'No incident' : plural(length, 'incident'));
    const here = cluster?.nodes.find(({ nodeId }) => nodeId === cluster.nodeId)?.name;
    reconcile(
      $('#incident-list'),
      incidents,
      ({ kind, what, node: name }) => `${kind} ${name ?? ''} ${what ?? ''}`,
      (incident) => this.#create(incident),
      (line, incident) => this.#update(line, incident, { now, here }),
    );
    this.#renderChanges(now - node.uptimeMs, now, cluster);
    // The first question in an incident is what has changed.
    if (this.#wasCalm && length > 0) $('#incidents details').open = true;
    this.#wasCalm = length === 0;
  }

  #create(incident) {
    const { section, events } = wordsOf(incident);
    const show = el('button', { type: 'button', className: 'link' }, 'Show');
    const target = incident.node === undefined ? section : 'cluster-title';
    show.addEventListener('click', () => {
      if (events && incident.node === undefined) this.#feed.show(events);
      const title = $(`#${target}`);
      title.scrollIntoView();
      title.focus();
    });
    const sign = el('span', { className: 'sign' }, isNotice(incident) ? '!' : '✗');
    sign.setAttribute('aria-hidden', 'true');
    const what = el('b', { className: 'what' });
    const line = el('li', {}, sign, what, el('span', { className: 'since' }), show);
    line.append(
      el('p', { className: 'why' }),
      el('p', { className: 'who' }),
      el('p', { className: 'advice' }),
    );
    line.classList.toggle('notice', isNotice(incident));
    return line;
  }

  #update(line, incident, { now, here }) {
    const { say, advice } = wordsOf(incident);
    const name = incident.node ?? here;
    // A cluster that is away, or a node that has gone, is no matter of one node.
    const isOfNode = name !== undefined && !NOT_OF_A_NODE.has(incident.kind);
    setText($('.what', line), `${isOfNode ? `${name}: ` : ''}${say(incident)}`);
    const age = now - incident.since;
    const words = age < 1000 ? 'just now' : `for ${duration(age)}`;
    setText($('.since', line), `since ${clockTime(incident.since)}, ${words}`);
    setText($('.advice', line), typeof advice === 'function' ? advice(incident) : advice);
    setText($('.why', line), whyOf(incident));
    this.#renderWho($('.who', line), incident);
  }

  #renderWho(element, { culprits }) {
    const { users = [], addresses = [], paths = [] } = culprits ?? {};
    const rest = [
      addresses.length > 0 ? `from ${timesEach(addresses, 'address')}` : '',
      paths.length > 0 ? `on ${timesEach(paths, 'path')}` : '',
    ].filter(Boolean);
    const unknown = timesIn(paths) - timesIn(users);
    element.hidden = users.length + rest.length === 0;
    if (element.childElementCount === 0) {
      element.append(
        'Who: ',
        el('span', { className: 'users' }),
        el('span', { className: 'rest' }),
      );
    }
    reconcile(
      $('.users', element),
      users,
      ({ userId }) => userId,
      ({ userId }) => {
        const open = el('button', { type: 'button', className: 'link', title: userId }, userId);
        open.setAttribute('aria-label', `Connections of ${userId}`);
        open.addEventListener('click', () => this.#onPickUser(userId));
        return el('span', {}, open, el('span', { className: 'times' }));
      },
      (user, { times }) => setText($('.times', user), ` (${whole(times)}) · `),
    );
    // Only the most frequent users are named, so the others may have an id too.
    const others = users.length === 0 ? 'no known user' : `others (${whole(unknown)})`;
    const parts = unknown > 0 ? [others, ...rest] : rest;
    setText($('.rest', element), `${parts.join(' · ')}, in the last minute`);
  }

  #renderChanges(startedAt, now, cluster) {
    const started = (cluster?.nodes ?? [])
      .filter((node) => node.nodeId !== cluster.nodeId && now - node.startedAt < LATELY_MS)
      .map((node) => ({ id: node.nodeId, at: node.startedAt, text: `${node.name} was started` }));
    const changes = [
      ...this.#feed.changes.map((change) => ({ ...change, text: describe(change).text })),
      ...started,
    ]
      .toSorted((one, other) => other.at - one.at)
      .slice(0, CHANGES);
    reconcile(
      $('#changes'),
      [...changes, { id: 'start', at: startedAt, text: 'This process was started' }],
      ({ id }) => id,
      ({ at, text }) =>
        el('li', {}, el('time', {}, Number.isFinite(at) ? clockTime(at) : NO_DATA), ` ${text}`),
    );
  }
}

const NOT_OF_A_NODE = new Set(['cluster-away', 'node-gone']);
const REASONS = 3;

function whyOf({ reasons = [], failing = [] }) {
  if (failing.length > 0) return `Most frequent: ${timesEach(failing, 'key')}`;
  if (reasons.length === 0) return '';
  const sum = reasons.reduce((total, { count }) => total + count, 0);
  const named = reasons
    .slice(0, REASONS)
    .map(
      ({ reason, count }) => `${REFUSALS[reason] ?? reason} ${percent(count / Math.max(1, sum))}`,
    );
  const more = reasons.length > REASONS ? ` · ${reasons.length - REASONS} more` : '';
  return `Why: ${named.join(' · ')}${more}`;
}
