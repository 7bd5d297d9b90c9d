import { $, el, reconcile, setText } from './dom.js';
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
      'Signed in until',
      it.expiresAt === null ? 'no end' : new Date(it.expiresAt).toLocaleString('en-GB'),
    ],
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
    ['Errors', whole(it.errors)],
  ],
  Resources: (it) => [
    ['Pinned by', it.pinLabels.length > 0 ? it.pinLabels.join(', ') : 'nothing'],
    ['Disposers', whole(it.disposers)],
    ['Slots of the user', `${it.slots.held} of ${it.slots.limit}`],
    ...(it.isReadingPaused ? [['Reading', 'paused: handlers cannot keep up']] : []),
    ...(it.closing ? [['Closing', closingWords(it.closing)]] : []),
    ...(it.creationSite ? [['Made at', it.creationSite]] : []),
  ],
};

function closingWords({ code, reason, initiator, sinceMs }) {
  const name = CODES[code] ? ` ${CODES[code]}` : '';
  return `${code}${name}, by ${initiator}, for ${duration(sinceMs)}${reason ? `: ${reason}` : ''}`;
}

export class Detail {
  #id;
  #user;

  constructor({ onClose, onPick, actions }) {
    this.onClose = onClose;
    this.onPick = onPick;
    $('#detail-close').addEventListener('click', () => this.close());
    $('#detail').addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') this.close();
    });
    $('#disconnect-one').addEventListener('click', () =>
      actions.disconnectConnection(this.#id, this.#user),
    );
    $('#disconnect-all').addEventListener('click', () => actions.disconnectUser(this.#user));
  }

  async open(connectionId) {
    this.opener = document.activeElement;
    this.#id = connectionId;
    $('#detail').hidden = false;
    $('#detail-facts').replaceChildren();
    $('#detail-others').replaceChildren();
    setText($('#detail-gone'), '');
    await this.refresh();
    $('#detail-title').focus();
  }

  close() {
    this.#id = undefined;
    $('#detail').hidden = true;
    this.onClose();
    this.opener?.focus();
  }

  async refresh() {
    const id = this.#id;
    if (id === undefined) return;
    const { connection } = await ask('connection', { id });
    // Another connection may have been selected meanwhile.
    if (id === this.#id) this.#render(connection);
  }

  #render(connection) {
    $('#detail').classList.toggle('gone', connection === null);
    for (const button of [$('#disconnect-one'), $('#disconnect-all')]) {
      button.disabled = connection === null;
    }
    if (connection === null) {
      setText($('#detail-gone'), 'This connection has ended. These are its last values.');
      return;
    }
    this.#user = connection.userId;
    setText($('#detail-title'), connection.userId);
    const groups = Object.entries(GROUPS);
    reconcile(
      $('#detail-facts'),
      groups,
      ([title]) => title,
      ([title]) => el('section', {}, el('h4', {}, title), el('dl')),
      (section, [, facts]) => this.#renderFacts($('dl', section), facts(connection)),
    );
    setText($('#disconnect-all'), `Disconnect all ${connection.slots.held} of this user`);
    this.#renderOthers(connection.slots.others);
  }

  #renderFacts(list, facts) {
    reconcile(
      list,
      facts,
      ([name]) => name,
      ([name]) => el('div', {}, el('dt', {}, name), el('dd')),
      (entry, [, value]) => setText($('dd', entry), value),
    );
  }

  #renderOthers(others) {
    $('#detail-others-title').hidden = others.length === 0;
    reconcile(
      $('#detail-others'),
      others,
      (id) => id,
      (id) => {
        const button = el('button', { type: 'button', className: 'link' }, `…${id.slice(-8)}`);
        button.setAttribute('aria-label', `Details of the connection ${id}`);
        button.addEventListener('click', () => this.onPick(id));
        return el('li', {}, button);
      },
    );
  }
}
