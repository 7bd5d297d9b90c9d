import { REASONS } from './words.js';

/** A tab: holds one WebSocket. */
export class Tab {
  state = 'connecting';
  messages = [];
  context = {};
  manager = {};
  people = new Set();
  refusal = undefined;

  constructor(person, thread) {
    this.person = person;
    this.thread = thread;
    this.room = person.room;
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

  get topic() {
    return `room:${this.room}`;
  }

  send(event, data) {
    if (this.state === 'open') this.socket.send(JSON.stringify({ event, data }));
  }

  receive({ event, data, topic, position }) {
    // A topic and a thread have positions of their own.
    if (position && topic) this.person.positions.set(topic, position);
    else if (position) this.thread.position = position;
    const react = this.reactions[event];
    if (react) react(data);
    else if (event !== 'resume' || data.missed !== 0) this.show({ event, data, topic });
  }

  show(message) {
    this.messages.push(message);
    if (this.person.selected === this) this.person.renderMessages();
  }

  reactions = {
    welcome: (context) => {
      this.state = 'open';
      this.context = context;
      const position = this.person.positions.get(this.topic);
      this.send('subscribe', { topic: this.topic, position });
      this.settle(true);
      this.person.render();
    },
    subscribed: ({ topic, position }) => {
      // Another tab of the user may be further already.
      if (position && !this.person.positions.has(topic)) this.person.positions.set(topic, position);
      this.send('people', { room: this.room });
    },
    people: (userIds) => this.meet(userIds),
    presence: ({ joined, left, count }) => {
      this.meet(joined, left);
      // A list that does not agree is asked for again.
      if (this.people.size !== count) this.send('people', { room: this.room });
    },
  };

  meet(joined, left) {
    if (!left) this.people.clear();
    for (const userId of joined) this.people.add(userId);
    for (const userId of left ?? []) this.people.delete(userId);
    if (this.person.selected === this) this.person.renderDetail();
  }

  closed(code, reason) {
    this.state = 'closed';
    this.people.clear();
    this.why = `${code}: ${REASONS[code] ?? 'closed'}`;
    if (code === 4429) this.refusal = JSON.parse(reason || '{}');
    this.settle(false);
    this.person.tabClosed(this);
  }
}
