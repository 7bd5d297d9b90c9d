import { Aside, renderEntries, renderFacts } from './aside.js';
import { $, el, setText } from './dom.js';
import { reconcile } from './reconcile.js';
import { ask } from './server.js';
import { bytes, clockTime, CODES, duration, NO_DATA, plural, whole } from './words.js';

// The details of one connection, while they are open.

const GROUPS = {
  Identity: (it) => [
    ['User', it.userId],
    ['Thread', it.threadId],
    ['Run', it.runId],
    ['Request', it.requestId],
    ['Connection', it.connectionId],
    ['Isolation key', it.isolationKey],
    [
      'Metadata',
      it.metadataKeys.length > 0 ? `${it.metadataKeys.join(', ')} (values hidden)` : 'none',
    ],
    [
      'Session expires',
      it.expiresAt === null ? 'never' : new Date(it.expiresAt).toLocaleString('en-GB'),
    ],
    ...(it.renewedAt === null ? [] : [['Renewed', clockTime(it.renewedAt)]]),
  ],
  Activity: (it) => [
    ['State', it.state],
    ['Opened', `${clockTime(it.createdAt)}, ${duration(it.ageMs)} ago`],
    ['Last traffic', `${duration(it.idleMs)} ago`],
    ['Last sign of life', `${duration(it.seenMs)} ago`],
    [
      'Round trip',
      it.roundTripMs === null ? `${NO_DATA} (not measured yet)` : duration(it.roundTripMs),
    ],
    ['Sent', `${plural(it.sent, 'message')}, ${whole(it.failed)} failed`],
    ['Waiting in the socket', bytes(it.queuedBytes)],
    ['Critical, waiting', whole(it.waitingCritical)],
    ['Latest, waiting', whole(it.waitingLatest)],
    ['Errors', whole(it.errors)],
  ],
  Resources: (it) => [
    ['Busy with', it.pinLabels.length > 0 ? it.pinLabels.join(', ') : 'nothing'],
    ['Disposers', whole(it.disposers)],
    ...(it.asks.length > 0 ? [['Asked, no answer yet', openWords(it.asks)]] : []),
    ...(it.streams.length > 0 ? [['Open streams', openWords(it.streams)]] : []),
    ['Connections of the user', heldWords(it)],
    ...(it.isReadingPaused ? [['Reading', 'paused: handlers cannot keep up']] : []),
    ...(it.closing ? [['Closing', closingWords(it.closing)]] : []),
    ...(it.creationSite ? [['Made at', it.creationSite]] : []),
  ],
};

const openWords = (open) =>
  open.map(({ event, ageMs }) => `${event} for ${duration(ageMs)}`).join(', ');

function heldWords({ slots, elsewhere }) {
  const others = elsewhere.reduce((sum, { connections }) => sum + connections, 0);
  const all = `${slots.held + others} of ${slots.limit}`;
  if (others === 0) return all;
  const there = elsewhere.map(({ node, connections }) => `${connections} on ${node}`);
  return `${all}: ${[`${slots.held} on this node`, ...there].join(', ')}`;
}

function closingWords({ code, reason, initiator, sinceMs }) {
  const name = CODES[code] ? ` ${CODES[code]}` : '';
  return `${code}${name}, by ${initiator}, for ${duration(sinceMs)}${reason ? `: ${reason}` : ''}`;
}

export class Detail extends Aside {
  #user;

  constructor({ onClose, onPick, onPickTopic, actions }) {
    super($('#detail'), { onClose });
    this.onPick = onPick;
    this.onPickTopic = onPickTopic;
    this.actions = actions;
    $('#disconnect-one').addEventListener('click', () =>
      actions.disconnectConnection(this.key, this.#user),
    );
    $('#disconnect-all').addEventListener('click', () => actions.disconnectUser(this.#user));
  }

  clear() {
    for (const list of ['#detail-facts', '#detail-topics', '#detail-others']) {
      $(list).replaceChildren();
    }
  }

  async read(id) {
    return (await ask('connection', { id })).connection;
  }

  render(connection) {
    if (connection !== null) this.#renderConnection(connection);
    this.showGone(connection === null, 'This connection has ended. These are its last values.');
  }

  #renderConnection(connection) {
    this.#user = connection.userId;
    setText($('#detail-title'), connection.userId);
    const groups = Object.entries(GROUPS);
    reconcile(
      $('#detail-facts'),
      groups,
      ([title]) => title,
      ([title]) => el('section', {}, el('h4', {}, title), el('dl')),
      (section, [, facts]) => renderFacts($('dl', section), facts(connection)),
    );
    const others = connection.elsewhere.reduce((sum, { connections }) => sum + connections, 0);
    setText($('#disconnect-all'), `Disconnect all ${connection.slots.held + others} of this user`);
    this.#renderTopics(connection);
    this.#renderOthers(connection.slots.others);
  }

  #renderTopics({ connectionId, userId, topics }) {
    const { count, named } = topics;
    $('#detail-topics-title').hidden = count === 0;
    const more = count > named.length ? `, the first ${whole(named.length)}` : '';
    setText($('#detail-topics-title'), `In ${plural(count, 'topic')}${more}`);
    renderEntries(
      $('#detail-topics'),
      named.map(({ topic }) => ({ name: topic, note: '' })),
      {
        onPick: this.onPickTopic,
        label: (name) => `Details of the topic ${name}`,
        remove: (name) => this.actions.removeConnection(connectionId, userId, name),
        removeLabel: (name) => `Remove this connection from ${name}`,
      },
    );
  }

  #renderOthers(others) {
    $('#detail-others-title').hidden = others.length === 0;
    reconcile(
      $('#detail-others'),
      others,
      (id) => id,
      (id) => {
        const short = id.slice(-8);
        const button = el('button', { type: 'button', className: 'link', title: id }, short);
        button.setAttribute('aria-label', `Details of the connection ${short}`);
        button.addEventListener('click', () => this.onPick(id));
        return el('li', {}, button);
      },
    );
  }
}
