import { CROWDED, LIMIT, STALE_MS } from './limits.js';
import { setText, show } from './lists.js';
import { Tab } from './tab.js';
import { QUESTIONS, SENTENCES } from './words.js';

export const COLOURS = ['#2f8f74', '#c2792b', '#6a6fc9', '#b0527c', '#3f86b8', '#8a8f2e'];

const $ = (selector, root = document) => root.querySelector(selector);

/** A user: shows the user's tabs side by side, and the details of the selected tab. */
export class Person {
  tabs = [];
  threads = [];
  opened = 0;
  selected = undefined;
  samples = [];
  room = undefined;
  // In a cluster: the node that serves this page, and the number of connections on other nodes.
  node = undefined;
  elsewhere = 0;

  constructor(userId, token, colour) {
    this.userId = userId;
    this.token = token;
    this.colour = colour;
    this.root = $('#person-template').content.cloneNode(true).firstElementChild;
    $('h2', this.root).textContent = userId;
    this.root.dataset.user = userId;
    const actions = {
      open: () => this.open(),
      'open-thread': () => this.select(this.open(this.newThread())),
      fill: () => this.fill(),
      'close-all': () => this.tabs.forEach((tab) => tab.client.close()),
    };
    this.root.addEventListener('click', ({ target }) => actions[target.dataset.action]?.());
  }

  /** The tabs that have a connection, or are about to. */
  get live() {
    return this.tabs.filter(({ state }) => state === 'open' || state === 'connecting');
  }

  newThread() {
    const name = String.fromCharCode(65 + (this.threads.length % 26));
    const thread = {
      id: `thread-${name}`,
      name,
      colour: COLOURS[this.threads.length % COLOURS.length],
    };
    this.threads.push(thread);
    return thread;
  }

  open(thread = this.selected?.thread ?? this.threads[0] ?? this.newThread()) {
    const tab = new Tab(this, thread);
    this.tabs.push(tab);
    // Closed tabs stay visible; of more than 8, the oldest is removed.
    const dead = this.tabs.filter(({ state }) => state === 'closed');
    if (dead.length > 8) this.tabs.splice(this.tabs.indexOf(dead[0]), 1);
    this.selected ??= tab;
    this.render();
    return tab;
  }

  async fill() {
    this.refuse('');
    for (let count = 0; count <= LIMIT; count += 1) {
      if (!(await this.open().opened)) return;
    }
  }

  refuse(text) {
    $('.refusal', this.root).textContent = text;
  }

  tabClosed(tab) {
    if (tab.refusal) {
      const seconds = Math.ceil((tab.refusal.retryAfterMs ?? 0) / 1000);
      this.refuse(
        `Tab ${tab.number} was refused with 4429 (${tab.refusal.reason}): all ${LIMIT} connections are ` +
          `in use. Try again in ${seconds} seconds, or close a tab.`,
      );
      this.tabs.splice(this.tabs.indexOf(tab), 1);
      if (this.selected === tab) this.selected = this.tabs.at(-1);
    }
    this.render();
  }

  select(tab) {
    this.selected = tab;
    this.render();
  }

  render() {
    const count = this.live.length;
    const meter = $('.meter', this.root);
    meter.setAttribute('aria-label', `${count} of ${LIMIT} connections`);
    const fill = $('.fill', meter);
    fill.style.width = `${Math.min(100, (count / LIMIT) * 100)}%`;
    fill.className = `fill ${count >= LIMIT ? 'full' : count >= CROWDED ? 'crowded' : ''}`;
    const others = this.elsewhere > 0 ? ` here, ${this.elsewhere} on other nodes` : '';
    $('.count', this.root).textContent = `${count} of ${LIMIT}${others}`;
    for (const tab of this.tabs) this.renderTab(tab);
    show(
      $('.tabs', this.root),
      this.tabs.map(({ button }) => button),
    );
    this.renderDetail();
  }

  renderTab(tab) {
    tab.button ??= this.tabButton(tab);
    const { button } = tab;
    const isStale = tab.state === 'open' && (tab.manager.idleMs ?? 0) > STALE_MS;
    button.className = `tab ${tab.state} ${isStale ? 'stale' : ''}`;
    button.setAttribute('aria-pressed', String(tab === this.selected));
    setText($('small', button), doingOf(tab));
    button.title = tab.context.connectionId ?? '';
  }

  tabButton(tab) {
    const button = document.createElement('button');
    button.type = 'button';
    button.style.setProperty('--thread', tab.thread.colour);
    button.append(`${tab.thread.name}·${tab.number}`, document.createElement('small'));
    button.addEventListener('click', () => this.select(tab));
    return button;
  }

  renderDetail() {
    const tab = this.selected;
    if (!tab) return;
    if (this.shown !== tab) {
      this.shown = tab;
      const detail = $('#detail-template').content.cloneNode(true).firstElementChild;
      this.bindDetail(detail, tab);
      $('.detail', this.root).replaceChildren(detail);
      this.renderMessages();
    }
    this.renderQuestion($('.question', this.root), tab);
    this.renderFacts($('.detail', this.root), tab);
  }

  renderQuestion(root, tab) {
    const [question] = tab.questions.keys();
    const isAnswering = root.contains(document.activeElement);
    root.hidden = !question;
    setText($('span', root), question ? QUESTIONS.approve(question) : '');
    // The buttons are gone with the question.
    if (isAnswering && root.hidden) $('input', this.root).focus();
  }

  renderFacts(root, tab) {
    const isAway = tab.state === 'closed' || tab.state === 'waiting';
    const end = isAway ? ` (${tab.why})` : '';
    $('h3', root).textContent = `Tab ${tab.number} on thread ${tab.thread.name}${end}`;
    $('.room', root).replaceChildren(...roomOf(tab));
    // What is said without a connection waits for the next one.
    for (const field of root.querySelectorAll('input, button'))
      field.disabled = tab.state === 'closed';
    // A field that is disabled keeps no focus.
    const focused = document.activeElement;
    if (root.contains(focused) && focused.disabled) tab.button?.focus();
    $('[name=cut]', root).textContent = tab.isCut ? 'Mend the line' : 'Cut the line';
    facts($('[data-facts=context]', root), {
      user: tab.context.userId,
      thread: tab.context.threadId,
      run: tab.context.runId,
      request: tab.context.requestId,
      connection: tab.context.connectionId,
      ...(this.node && { node: this.node }),
      'isolation key': tab.context.isolationKey,
    });
    facts($('[data-facts=manager]', root), managerFacts(tab.manager, isAway));
  }

  bindDetail(detail, tab) {
    const form = $('form', detail);
    const input = form.elements.text;
    input.id = `text-${this.userId}-${tab.number}`;
    $('label', form).htmlFor = input.id;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (text === '') return;
      if (event.submitter?.name === 'ask') tab.ask(text);
      else tab.say(text);
      input.value = '';
    });
    form.elements.stop.addEventListener('click', () => tab.stop());
    for (const [name, isAllowed] of [
      ['allow', true],
      ['refuse', false],
    ]) {
      $(`[name=${name}]`, detail).addEventListener('click', () => {
        const [answer] = tab.questions.values();
        answer?.(isAllowed);
      });
    }
    $('[name=cut]', detail).addEventListener('click', () => (tab.isCut ? tab.mend() : tab.cut()));
    $('[name=close]', detail).addEventListener('click', () => tab.client.close());
  }

  renderMessages() {
    const list = $('.messages', this.root);
    if (!list || !this.selected) return;
    show(list, this.selected.messages.slice(-60).map(messageItem));
    list.scrollTop = list.scrollHeight;
  }
}

// What a tab does, in a few words.
function doingOf({ state, why, questions, manager: { idleMs = 0, pins = [] } }) {
  if (state !== 'open') return state === 'connecting' ? state : why;
  if (questions.size > 0) return 'asks you';
  return pins.join(', ') || `silent ${Math.round(idleMs / 1000)} s`;
}

const items = new WeakMap();

function messageItem(message) {
  const { event, data, topic } = message;
  const item = items.get(message) ?? document.createElement('li');
  items.set(message, item);
  setText(item, SENTENCES[event]?.(data, topic) ?? `${event} ${JSON.stringify(data)}`);
  // The words of an answer are read out once, when it is complete.
  if (event === 'agent_token') item.ariaLive = 'off';
  item.dataset.event = event;
  if (event === 'agent_completed' || event === 'agent_token') item.className = 'answer';
  else if (event !== 'said') item.className = 'step';
  return item;
}

function managerFacts({ state, ageSeconds, idleMs, sent, roundTripMs, pins }, isAway) {
  return {
    state: isAway ? 'disposed' : state,
    age: ageSeconds === undefined ? undefined : `${Math.round(ageSeconds)} s`,
    'silent for': idleMs === undefined ? undefined : `${Math.round(idleMs / 1000)} s`,
    sent,
    'round trip': roundTripMs === undefined ? 'not pinged yet' : `${roundTripMs.toFixed(1)} ms`,
    'busy with': pins?.join(', ') || 'nothing',
  };
}

function facts(list, values) {
  const entries = Object.entries(values).flatMap(([name, value]) => {
    const term = document.createElement('dt');
    term.textContent = name;
    const definition = document.createElement('dd');
    definition.textContent = value ?? '–';
    definition.title = value ?? '';
    return [term, definition];
  });
  list.replaceChildren(...entries);
}

function roomOf({ state, room, people }) {
  if (state === 'closed' || state === 'waiting') return [`Was in the room “${room}”.`];
  const names = [...people].toSorted((a, b) => a.localeCompare(b));
  const items = names.map((userId) => {
    const name = document.createElement('b');
    name.textContent = userId;
    return name;
  });
  return [`In the room “${room}”:`, ...items];
}
