import { $, setText } from './dom.js';
import { act } from './server.js';
import { plural } from './words.js';

// What may be done, by those who may: always asked once more, always said afterwards.

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

  /** Shows what this viewer may do. */
  allow({ mayAct, token }) {
    this.#token = token;
    document.documentElement.classList.toggle('may-act', mayAct);
  }

  disconnectConnection(id, user) {
    this.#confirm({
      title: `Disconnect this connection of ${user}?`,
      text: `${id} is closed with a goodbye; what belongs to it is disposed of.`,
      button: 'Disconnect',
      hasReconnect: true,
      request: { action: 'disconnect-connection', target: id },
      done: ({ count }) => (count > 0 ? 'Disconnected.' : 'It had gone already.'),
    });
  }

  disconnectUser(user) {
    this.#confirm({
      title: `Disconnect everything of ${user}?`,
      text: 'All connections of this user on this process are closed, working ones too.',
      button: 'Disconnect all',
      hasReconnect: true,
      request: { action: 'disconnect-user', target: user },
      done: ({ count }) => `${plural(count, 'connection')} of ${user} disconnected.`,
    });
  }

  cleanup() {
    this.#confirm({
      title: 'Clean up now?',
      text: 'Removes what is dead, was never attached or is stale, of all users. Nothing pinned, nothing active.',
      button: 'Clean up',
      request: { action: 'cleanup' },
      done: ({ count }) => `Cleaned up: ${plural(count, 'connection')} removed.`,
    });
  }

  drain() {
    this.#confirm({
      title: 'Drain this process?',
      text: 'Every connection is told to go elsewhere, and no new one is taken until the process is started again.',
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
    // The harmless one has the focus.
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
