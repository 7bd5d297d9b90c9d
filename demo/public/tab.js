import { REASONS } from './words.js';

/** A tab: holds one WebSocket. */
export class Tab {
  state = 'connecting';
  messages = [];
  context = {};
  manager = {};
  people = new Set();
  refusal = undefined;
  // The id of the message whose stream is open: the run of the assistant.
  run = undefined;
  isStopping = false;
  // Open questions of the server, by their id.
  questions = new Map();

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

  send(event, data, id) {
    this.sendFrame({ event, data, id });
  }

  sendFrame(frame) {
    if (this.state === 'open') this.socket.send(JSON.stringify(frame));
  }

  /** Asks the assistant: a message with an id, whose stream of answers can be cancelled. */
  ask(text) {
    this.stop();
    this.asked = (this.asked ?? 0) + 1;
    this.run = this.asked;
    this.isStopping = false;
    this.send('ask', { text }, this.run);
  }

  /** Stops the assistant. The server ends the stream with `complete`. */
  stop() {
    if (this.run === undefined) return;
    this.isStopping = true;
    this.sendFrame({ event: 'cancel', id: this.run });
  }

  answer(ask, data) {
    this.sendFrame({ event: 'answer', ask, data });
    this.forget(ask);
  }

  forget(ask) {
    this.questions.delete(ask);
    this.person.render();
  }

  receive({ event, data, topic, position, id, ask }) {
    if (ask) return this.asking(event, data, ask);
    if (event === 'complete') return this.streamOver(id);
    if (event === 'exception') this.streamOver(data.id);
    // A topic and a thread have positions of their own.
    if (position && topic) this.person.positions.set(topic, position);
    else if (position) this.thread.position = position;
    const react = this.reactions[event];
    if (react) react(data);
    else if (event !== 'resume' || data.missed !== 0) this.show({ event, data, topic });
  }

  // Another tab of the thread may be faster: then the server says that the question is answered.
  asking(event, data, ask) {
    if (event === 'answered') return this.forget(ask);
    this.questions.set(ask, data);
    this.person.render();
  }

  streamOver(id) {
    if (id === undefined || id !== this.run) return;
    this.run = undefined;
    if (this.isStopping) this.show({ event: 'agent_cancelled', data: {} });
  }

  runEnded({ runId }) {
    for (const [ask, question] of this.questions) {
      if (question.runId === runId) this.forget(ask);
    }
  }

  // The words of an answer are one line, until the whole answer takes its place.
  words({ runId, text }) {
    const line = this.messages.at(-1);
    if (line?.event !== 'agent_token' || line.data.runId !== runId) {
      return this.show({ event: 'agent_token', data: { runId, text } });
    }
    line.data.text += text;
    this.changed();
  }

  completed(data) {
    const isLine = ({ event, data: { runId } }) => event === 'agent_token' && runId === data.runId;
    this.messages = this.messages.filter((message) => !isLine(message));
    this.show({ event: 'agent_completed', data });
  }

  show(message) {
    this.messages.push(message);
    this.changed();
  }

  changed() {
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
    agent_ended: (data) => this.runEnded(data),
    agent_token: (data) => this.words(data),
    agent_completed: (data) => this.completed(data),
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
    this.questions.clear();
    this.run = undefined;
    this.why = `${code}: ${REASONS[code] ?? 'closed'}`;
    if (code === 4429) this.refusal = JSON.parse(reason || '{}');
    this.settle(false);
    this.person.tabClosed(this);
  }
}
