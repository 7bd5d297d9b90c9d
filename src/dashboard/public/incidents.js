import { $, el, reconcile, setText } from './dom.js';
import { clockTime, describe, duration, INCIDENTS, NO_DATA, plural } from './words.js';

// What is wrong, since when, and what to do about it; and what changed lately. Each incident leads to its part of the
// page.

const CHANGES = 5;
const UNKNOWN = { say: ({ kind }) => kind, advice: '', section: 'feed-title' };

/** How many of them are more than a notice. */
export const countIncidents = (incidents) =>
  incidents.filter(({ kind }) => !INCIDENTS[kind]?.isNotice).length;

export class Incidents {
  #feed;

  /** @param feed the feed, which an incident can filter */
  constructor(feed) {
    this.#feed = feed;
  }

  render({ incidents, now, node }) {
    const length = countIncidents(incidents);
    $('#incidents').classList.toggle('calm', length === 0);
    setText($('#incidents-title'), length === 0 ? 'No incident' : plural(length, 'incident'));
    reconcile(
      $('#incident-list'),
      incidents,
      ({ kind, what }) => `${kind} ${what ?? ''}`,
      (incident) => this.#create(incident),
      (line, incident) => {
        const { say } = INCIDENTS[incident.kind] ?? UNKNOWN;
        setText($('.what', line), say(incident));
        const age = now - incident.since;
        const words = age < 1000 ? 'just now' : `for ${duration(age)}`;
        setText($('.since', line), `since ${clockTime(incident.since)}, ${words}`);
      },
    );
    this.#renderChanges(now - node.uptimeMs);
  }

  #create({ kind }) {
    const { advice, section, events, isNotice } = INCIDENTS[kind] ?? UNKNOWN;
    const show = el('button', { type: 'button', className: 'link' }, 'Show');
    show.addEventListener('click', () => {
      if (events) this.#feed.show(events);
      const title = $(`#${section}`);
      title.scrollIntoView();
      title.focus();
    });
    const sign = el('span', { className: 'sign' }, isNotice ? '!' : '✗');
    sign.setAttribute('aria-hidden', 'true');
    const what = el('b', { className: 'what' });
    const line = el('li', {}, sign, what, el('span', { className: 'since' }), show);
    line.append(el('p', { className: 'advice' }, advice));
    line.classList.toggle('notice', isNotice === true);
    return line;
  }

  #renderChanges(startedAt) {
    const changes = this.#feed.changes.slice(0, CHANGES);
    reconcile(
      $('#changes'),
      [...changes, { id: 'start', at: startedAt }],
      ({ id }) => id,
      (change) =>
        el(
          'li',
          {},
          el('time', {}, Number.isFinite(change.at) ? clockTime(change.at) : NO_DATA),
          ` ${change.id === 'start' ? 'Process started' : describe(change).text}`,
        ),
    );
  }
}
