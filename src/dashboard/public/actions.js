import { $, setText } from './dom.js';
import { act } from './server.js';
import { plural } from './words.js';

// The actions of viewers who may act. Each is confirmed in a dialog first, and its result is announced.

// What is left to happen on other nodes.
function rest({ silent = [], isRecorded = true, isEnding = false }) {
  if (isEnding) return ' on this node; some have not ended yet';
  if (!isRecorded) {
    const nodes = silent.length > 0 ? silent.join(', ') : 'the other nodes';
    return `. Redis is away: done on ${nodes} when it is back, if this process still runs then`;
  }
  if (silent.length === 0) return '';
  return `. ${silent.join(', ')} did not answer: done there when the node reaches Redis again`;
}

const REMOVED = 'The client is told, and may subscribe again if the app admits it.';

export class Actions {
  #token = null;
  #request;

  constructor({ onDone }) {
    this.onDone = onDone;
    const dialog = $('#confirm');
    $('#confirm-cancel').addEventListener('click', () => dialog.close());
    $('#confirm-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#run();
    });
    $('#confirm-word').addEventListener('input', () => this.#enable());
    $('#cleanup').addEventListener('click', () => this.cleanup());
    $('#drain').addEventListener('click', () => this.drain());
  }

  /** Shows the actions if this viewer may act. */
  allow({ mayAct, token }) {
    this.#token = token;
    document.documentElement.classList.toggle('may-act', mayAct);
  }

  disconnectConnection(id, user) {
    this.#confirm({
      title: `Disconnect this connection of ${user}?`,
      text: `${id} is closed, and its resources are disposed of.`,
      button: 'Disconnect',
      hasReconnect: true,
      request: { action: 'disconnect-connection', target: id },
      done: (result) =>
        result.count > 0 ? `Disconnected${rest(result)}.` : `It was closed already${rest(result)}.`,
    });
  }

  disconnectUser(user) {
    this.#confirm({
      title: `Disconnect all connections of ${user}?`,
      text: 'All connections of this user are closed, on every node, busy ones too.',
      button: 'Disconnect all',
      hasReconnect: true,
      request: { action: 'disconnect-user', target: user },
      done: (result) =>
        `${plural(result.count, 'connection')} of ${user} disconnected${rest(result)}.`,
    });
  }

  removeConnection(id, user, topic) {
    this.#confirm({
      title: `Remove this connection of ${user} from the topic ${topic}?`,
      text: `${id} stays connected. ${REMOVED}`,
      button: 'Remove',
      request: { action: 'remove-connection-from-topic', target: id, topic },
      done: (result) =>
        result.count > 0
          ? `Removed from ${topic}${rest(result)}.`
          : `Was not in ${topic} any more${rest(result)}.`,
    });
  }

  removeUser(user, topic) {
    this.#confirm({
      title: `Remove ${user} from the topic ${topic}?`,
      text: `All connections of this user leave the topic, on every node, and stay connected. ${REMOVED}`,
      button: 'Remove',
      request: { action: 'remove-user-from-topic', target: user, topic },
      done: (result) =>
        `${plural(result.count, 'connection')} of ${user} removed from ${topic}${rest(result)}.`,
    });
  }

  cleanup() {
    this.#confirm({
      title: 'Clean up now?',
      text: 'Removes connections of all users that are dead, stale or were never attached. Busy and active ones stay.',
      button: 'Clean up',
      request: { action: 'cleanup' },
      done: ({ count }) => `Cleaned up: ${plural(count, 'connection')} removed.`,
    });
  }

  drain() {
    this.#confirm({
      title: 'Drain this process?',
      text: 'Every connection is closed, and new ones are refused until the process is restarted.',
      button: 'Drain',
      word: 'drain',
      request: { action: 'drain' },
      done: ({ count }) => `Draining ${plural(count, 'connection')}.`,
    });
  }

  #confirm(request) {
    this.#request = request;
    setText($('#confirm-title'), request.title);
    setText($('#confirm-text'), request.text);
    setText($('#confirm-do'), request.button);
    setText($('#confirm-error'), '');
    $('#confirm-reconnect').hidden = !request.hasReconnect;
    $('#confirm-typed').hidden = request.word === undefined;
    $('#confirm-word').value = '';
    this.#enable();
    $('#confirm').showModal();
    // The harmless button gets the focus.
    $('#confirm-cancel').focus();
  }

  #enable() {
    const { word } = this.#request;
    $('#confirm-do').disabled = word !== undefined && $('#confirm-word').value.trim() !== word;
  }

  async #run() {
    const { request, done, hasReconnect } = this.#request;
    const mayReconnect = $('#may-reconnect').checked;
    $('#confirm-do').disabled = true;
    try {
      const result = await act(this.#token, hasReconnect ? { ...request, mayReconnect } : request);
      $('#confirm').close();
      this.onDone(done(result));
    } catch (error) {
      setText($('#confirm-error'), error.message);
      $('#confirm-do').disabled = false;
    }
  }
}
