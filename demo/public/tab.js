import { REASONS } from './words.js';

/** A tab: holds one WebSocket. */
export class Tab {
  state = 'connecting';
  messages = [];
  context = {};
  manager = {};
  refusal = undefined;

  constructor(person, thread) {
    this.person = person;
    this.thread = thread;
    this.number = ++person.opened;
    const url = new URL('/chat', location.href.replace(/^http/, 'ws'));
    url.searchParams.set('thread', thread.id);
    // If the server keeps a thread history, a new tab of the thread resumes at the thread's last position.
    if (thread.position) url.searchParams.set('resume', thread.position);
    // A browser can send a token only as a subprotocol. The server selects the first one, `chat`, never the token.
    this.socket = new WebSocket(url, ['chat', person.token]);
    this.ended = new Promise((resolve) => {
      this.socket.addEventListener('message', ({ data }) => this.receive(JSON.parse(data)));
      this.socket.addEventListener('close', ({ code, reason }) => {
        this.closed(code, reason);
        resolve();
      });
    });
    this.opened = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  send(event, data) {
    if (this.state === 'open') this.socket.send(JSON.stringify({ event, data }));
  }

  receive({ event, data, position }) {
    if (position) this.thread.position = position;
    if (event === 'welcome') {
      this.state = 'open';
      this.context = data;
      this.settle(true);
      this.person.render();
      return;
    }
    this.messages.push({ event, data });
    if (this.person.selected === this) this.person.renderMessages();
  }

  closed(code, reason) {
    this.state = 'closed';
    this.why = `${code}: ${REASONS[code] ?? 'closed'}`;
    if (code === 4429) this.refusal = JSON.parse(reason || '{}');
    this.settle(false);
    this.person.tabClosed(this);
  }
}
