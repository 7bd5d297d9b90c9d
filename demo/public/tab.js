import { connect } from './client/index.js';
import { REASONS } from './words.js';

/** A tab: holds one client, which has one connection after another. */
export class Tab {
  state = 'connecting';
  messages = [];
  context = {};
  manager = {};
  people = new Set();
  refusal = undefined;
  why = '';
  // Stops the run of the assistant. `undefined` while none is under way.
  run = undefined;
  // Open questions of the server: the data, and what answers them.
  questions = new Map();
  // Without a line, no connection can be opened.
  isCut = false;

  constructor(person, thread) {
    this.person = person;
    this.thread = thread;
    this.room = person.room;
    this.number = ++person.opened;
    const url = new URL('chat', location.href);
    url.searchParams.set('thread', thread.id);
    // A new tab of the thread begins at the latest position that another tab has seen.
    if (thread.position) url.searchParams.set('resume', thread.position);
    this.client = connect(url, {
      token: () => person.token,
      protocols: 'chat',
      WebSocket: lineOf(this),
      // A user who has all connections in use waits for a click, not for a place.
      reactions: { 4429: 'stop' },
    });
    this.opened = new Promise((resolve) => {
      this.settle = resolve;
    });
    this.listen();
  }

  get topic() {
    return `room:${this.room}`;
  }

  listen() {
    const { client } = this;
    client.onState((change) => this.changedState(change));
    client.onError((error) => this.failed(error));
    for (const event of [
      'said',
      'agent_completed',
      'exception',
      'resume',
      'welcome',
      'agent_ended',
    ]) {
      client.on(event, (data, message) => this.receive(message));
    }
    client.answer('approve', (question, { signal }) => this.asked(question, signal));
    const hooks = { onSubscribed: () => this.loadPeople() };
    client.presence(this.topic, (change) => this.meet(change), hooks);
  }

  say(text) {
    this.client.send('say', { room: this.room, text });
  }

  /** Asks the assistant, and shows its steps and its words as they come. */
  async ask(text) {
    this.stop();
    const run = new AbortController();
    this.run = run;
    try {
      const steps = this.client.stream('ask', { text }, { signal: run.signal });
      for await (const { step, ...data } of steps) this.step(step, data);
    } catch (error) {
      if (run.signal.aborted) this.show({ event: 'agent_cancelled', data: {} });
      else this.show({ event: 'exception', data: error });
    } finally {
      if (this.run === run) this.run = undefined;
    }
  }

  /** Stops the assistant: the server is told to cancel the stream. */
  stop() {
    this.run?.abort();
  }

  /** Ends the connection without a close frame. The client tries to come back until the line is there again. */
  cut() {
    this.isCut = true;
    this.client.send('cut');
    this.person.render();
  }

  mend() {
    this.isCut = false;
    // As the browser tells a page whose network is back: the clients do not wait any longer.
    dispatchEvent(new Event('online'));
  }

  /** A question of the server, until the person has answered it, here or in another tab of the thread. */
  asked(question, signal) {
    return new Promise((resolve) => {
      const forget = () => {
        this.questions.delete(question);
        this.person.render();
      };
      signal.addEventListener('abort', forget);
      this.questions.set(question, (answer) => {
        forget();
        resolve(answer);
      });
      this.person.render();
    });
  }

  receive({ event, data, topic, position }) {
    if (position && topic === undefined) this.thread.position = position;
    if (event === 'welcome') this.welcome(data);
    else if (event === 'agent_ended') this.runEnded(data);
    else if (event === 'agent_completed') this.completed(data);
    else if (event !== 'resume' || data.missed !== 0) this.show({ event, data, topic });
  }

  welcome(context) {
    this.context = context;
    this.settle(true);
    this.person.render();
  }

  runEnded({ runId }) {
    for (const question of this.questions.keys()) {
      if (question.runId === runId) this.questions.delete(question);
    }
    this.person.render();
  }

  step(step, data) {
    if (step === 'agent_token') this.words(data);
    else this.show({ event: step, data });
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

  async loadPeople() {
    const userIds = await this.client.request('people', { room: this.room });
    this.people = new Set(userIds);
    this.changedPeople();
  }

  meet({ joined, left, count }) {
    for (const userId of joined) this.people.add(userId);
    for (const userId of left) this.people.delete(userId);
    // A list that does not agree is asked for again.
    if (this.people.size === count) this.changedPeople();
    else void this.loadPeople().catch((error) => this.failed(error));
  }

  changedPeople() {
    if (this.person.selected === this) this.person.renderDetail();
  }

  // A line that is cut is no news.
  failed(error) {
    if (!this.isCut && this.state !== 'closed') this.show({ event: 'exception', data: error });
  }

  changedState({ state, code, reason }) {
    // Attempts over a line that is cut come to nothing.
    this.state = this.isCut && state === 'connecting' ? 'waiting' : state;
    if (code !== undefined) this.why = `${code}: ${REASONS[code] ?? 'closed'}`;
    if (state !== 'open') this.people.clear();
    if (state === 'closed') this.closed(code, reason);
    else this.person.render();
  }

  closed(code, reason) {
    this.questions.clear();
    if (code === 4429) this.refusal = JSON.parse(reason || '{}');
    this.settle(false);
    this.person.tabClosed(this);
  }
}

/** The WebSocket of a tab, whose line can be cut. */
function lineOf(tab) {
  return class extends WebSocket {
    constructor(url, protocols) {
      if (tab.isCut) throw new Error('the line is cut');
      super(url, protocols);
    }
  };
}
