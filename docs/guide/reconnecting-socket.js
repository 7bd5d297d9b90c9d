// A WebSocket that comes back, in plain browser code. Copy it; it needs nothing.
//
//   const socket = new ReconnectingSocket('wss://app.example.com/chat', { protocols: () => ['chat', token] });
//   socket.addEventListener('message', ({ detail: { event, data } }) => show(event, data));
//   socket.send('say', { text: 'hello' });
//   socket.subscribe('room:7');

/** What to do after each close code: the table of docs/reference/close-codes.md. */
export const REACTIONS = Object.freeze({
  1000: 'stop',
  1001: 'at once',
  1002: 'stop',
  1003: 'stop',
  1006: 'back off',
  1007: 'stop',
  1008: 'stop',
  1009: 'stop',
  1011: 'back off',
  1013: 'after retryAfterMs',
  4401: 'sign in',
  4403: 'stop',
  4408: 'back off',
  4409: 'stop',
  4429: 'after retryAfterMs',
  4430: 'back off',
  4440: 'when needed',
  4441: 'back off',
  4442: 'at once',
  4443: 'at once',
});

/**
 * Events: `open`; `message` with `{ event, data, topic }`; `gap` with `{ topic }` when events were missed for good
 * and the state has to be loaded anew (without a topic: that of the thread); `waiting` with `{ code, reaction, delayMs }`; `stopped` with `{ code, reason }`.
 */
export class ReconnectingSocket extends EventTarget {
  #url;
  #options;
  #socket;
  #timer;
  #stableTimer;
  #position;
  #isStopped = false;
  /** Failures since a connection last held. */
  #failures = 0;
  /** Messages of the time without a connection, the oldest first. */
  #waiting = [];
  /** The topics to be in, each with the position of its latest event. */
  #topics = new Map();
  /** The topics of subscriptions that the server has not answered, by the id of the request. */
  #asked = new Map();
  #requests = 0;

  /**
   * @param url `wss://…`
   * @param options.protocols called for every attempt, so that a new token is used
   * @param options.signIn called after 4401; may be async; a falsy answer means: stop
   * @param options.firstDelayMs the first wait; doubled with every failure
   * @param options.longestDelayMs and no longer than this
   * @param options.stableAfterMs a connection that held for so long counts as good
   * @param options.maxWaiting messages to keep while there is no connection
   */
  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#options = {
      protocols: () => [],
      signIn: async () => false,
      firstDelayMs: 500,
      longestDelayMs: 30_000,
      stableAfterMs: 10_000,
      maxWaiting: 100,
      ...options,
    };
    globalThis.addEventListener?.('online', this.#tryNow);
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === 1;
  }

  /** Sends, or keeps the message until there is a connection. False when it can do neither. */
  send(event, data) {
    if (this.#isStopped) return false;
    if (this.isOpen) {
      this.#socket.send(JSON.stringify({ event, data }));
      return true;
    }
    if (this.#waiting.length >= this.#options.maxWaiting) return false;
    this.#waiting.push({ event, data });
    // Closed for being idle, and now there is something to say.
    if (!this.#socket && !this.#timer) this.#connect();
    return true;
  }

  /** Joins a topic, now and whenever there is a new connection. A refused topic is not asked for again. */
  subscribe(topic) {
    if (this.#isStopped || this.#topics.has(topic)) return;
    this.#topics.set(topic, undefined);
    if (this.isOpen) this.#ask(topic);
  }

  unsubscribe(topic) {
    if (!this.#topics.delete(topic) || !this.isOpen) return;
    this.#socket.send(JSON.stringify({ event: 'unsubscribe', data: { topic } }));
  }

  /** Ends it for good. */
  close() {
    const socket = this.#socket;
    this.#stop({ code: 1000, reason: 'closed by this page' });
    socket?.close(1000);
  }

  #connect() {
    this.#timer = undefined;
    const url = new URL(this.#url);
    // With `resume` on, the server sends what was missed since this position.
    if (this.#position) url.searchParams.set('resume', this.#position);
    const socket = new WebSocket(url, this.#options.protocols());
    this.#socket = socket;
    socket.addEventListener('open', () => this.#opened(socket));
    socket.addEventListener('message', ({ data }) => this.#received(socket, data));
    socket.addEventListener('close', ({ code, reason }) => {
      if (socket === this.#socket) this.#closed(code, reason);
    });
  }

  #opened(socket) {
    if (socket !== this.#socket) return;
    // Not good yet: a server that refuses with a close code opens first.
    this.#stableTimer = setTimeout(() => {
      this.#failures = 0;
    }, this.#options.stableAfterMs);
    this.#asked.clear();
    for (const topic of this.#topics.keys()) this.#ask(topic);
    // What waited goes first: a listener of `open` may send too.
    for (const { event, data } of this.#waiting.splice(0)) this.send(event, data);
    this.#tell('open');
  }

  #received(socket, text) {
    if (socket !== this.#socket) return;
    const { event, data, topic, position } = JSON.parse(text);
    if (event !== 'resume') this.#tell('message', { event, data, topic });
    else if (data.status === 'gap') this.#tell('gap', { topic });
    // After it was handled: whoever is interrupted in between gets it again.
    if (topic === undefined) this.#position = position ?? this.#position;
    else if (position) this.#placed(topic, position);
    this.#noteTopic(event, data);
  }

  // What the server answers to subscriptions.
  #noteTopic(event, data) {
    if (event === 'subscribed') this.#placed(data?.topic, data?.position);
    else if (event === 'unsubscribed' && data?.reason) this.#topics.delete(data.topic);
    else if (event === 'exception') this.#topics.delete(this.#asked.get(data?.id));
  }

  // The position of a topic is never that of the thread: the server would refuse it.
  #placed(topic, position) {
    if (this.#topics.has(topic)) this.#topics.set(topic, position);
  }

  #ask(topic) {
    const id = `subscribe-${(this.#requests += 1)}`;
    this.#asked.set(id, topic);
    const position = this.#topics.get(topic);
    this.#socket.send(JSON.stringify({ event: 'subscribe', id, data: { topic, position } }));
  }

  #closed(code, reason) {
    clearTimeout(this.#stableTimer);
    this.#socket = undefined;
    if (this.#isStopped) return;
    const reaction = REACTIONS[code] ?? 'back off';
    if (reaction === 'stop') this.#stop({ code, reason });
    else if (reaction === 'sign in') void this.#signIn(code, reason);
    else if (reaction === 'when needed' && this.#waiting.length === 0) {
      this.#tell('waiting', { code, reaction, delayMs: undefined });
    } else this.#wait(code, reaction, this.#delayMs(reaction, reason));
  }

  async #signIn(code, reason) {
    const isSignedIn = await this.#isSignedInAgain();
    if (this.#isStopped) return;
    if (isSignedIn) this.#wait(code, 'sign in', this.#failures === 0 ? 0 : this.#backOffMs());
    else this.#stop({ code, reason });
  }

  // Whatever is not a "yes" is a "no": nobody is asked twice for one close.
  async #isSignedInAgain() {
    try {
      return await this.#options.signIn();
    } catch {
      return false;
    }
  }

  #wait(code, reaction, delayMs) {
    this.#failures += 1;
    this.#tell('waiting', { code, reaction, delayMs });
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#connect(), delayMs);
  }

  #delayMs(reaction, reason) {
    const { firstDelayMs } = this.#options;
    const spread = Math.random() * firstDelayMs;
    if (reaction === 'after retryAfterMs') return (retryAfterMsOf(reason) ?? 0) + this.#backOffMs();
    // At once is once: who is sent away again and again backs off too.
    const isFirst = this.#failures === 0 && reaction !== 'back off';
    return isFirst ? spread : this.#backOffMs();
  }

  // Doubles, up to a bound, and is never the same for two clients: they would all come back together.
  #backOffMs() {
    const { firstDelayMs, longestDelayMs } = this.#options;
    const longest = Math.min(longestDelayMs, firstDelayMs * 2 ** this.#failures);
    return longest * (0.5 + Math.random() / 2);
  }

  // The network is back: waiting any longer makes no sense.
  #tryNow = () => {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#connect();
  };

  #stop({ code, reason }) {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#stableTimer);
    globalThis.removeEventListener?.('online', this.#tryNow);
    this.#waiting.length = 0;
    this.#topics.clear();
    this.#socket = undefined;
    this.#tell('stopped', { code, reason });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What the server asks for in a close reason such as `{"reason":"user-limit","retryAfterMs":5000}`. */
function retryAfterMsOf(reason) {
  try {
    const { retryAfterMs } = JSON.parse(reason);
    return Number.isFinite(retryAfterMs) ? retryAfterMs : undefined;
  } catch {
    return undefined;
  }
}
