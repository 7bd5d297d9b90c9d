import { type Call, Calls, type Cancel } from './calls.js';
import type { Client, DroppedMessage, Gap } from './client.js';
import { ClientError, type Report } from './client.error.js';
import { Link, type LinkOwner, NORMAL } from './link.js';
import { Listeners, type Off } from './listeners.js';
import { encode, type Frame, parseFrame, type ServerMessage } from './message.js';
import { type ClientOptions, resolveSettings } from './options.js';
import { type DropReason, Outbox, type SendResult } from './outbox.js';
import { followPage } from './page.js';
import { type Answerer, Questions } from './questions.js';
import { request, type RequestOptions } from './request.js';
import type { ClientState, StateChange } from './state.js';
import { Tokens } from './tokens.js';
import { ItemStream, type StreamOptions } from './stream.js';
import { type PresenceChange, type SubscriptionHooks, Topics } from './topics.js';

type MessageListeners = Listeners<[data: unknown, message: ServerMessage]>;

/** Puts the parts together, and hands each frame to the part that it is for. */
export class ConnectedClient implements Client, LinkOwner {
  position: string | undefined;
  readonly #report: Report = (error) => this.failed(error);
  readonly #errors = new Listeners<[error: ClientError]>(toConsole);
  readonly #messages = new Map<string, MessageListeners>();
  readonly #states = new Listeners<[change: StateChange]>(this.#report);
  readonly #gaps = new Listeners<[gap: Gap]>(this.#report);
  readonly #dropped = new Listeners<[message: DroppedMessage]>(this.#report);
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #calls: Calls;
  readonly #topics: Topics;
  readonly #questions: Questions;
  readonly #tokens: Tokens;
  readonly #leavePage: Off;
  readonly #maxStreamBuffer: number;
  /** Why it is closed. */
  #closed: ClientError | undefined;

  constructor(url: URL, options: ClientOptions) {
    const settings = resolveSettings(options);
    this.#tokens = new Tokens(settings.token);
    this.#link = new Link(url, settings, this.#tokens, this);
    const write = (text: string): boolean => this.#link.send(text);
    this.#outbox = new Outbox(settings, write);
    this.#calls = new Calls(this.#outbox, write);
    const gap = (topic: string): void => this.#gaps.tell({ topic });
    this.#topics = new Topics(this.#calls, write, this.#report, gap);
    this.#questions = new Questions(write, this.#report);
    this.#maxStreamBuffer = settings.maxStreamBuffer;
    this.#leavePage = followPage(this.#link);
    this.#link.connect();
  }

  get state(): ClientState {
    return this.#link.state;
  }

  get isNeeded(): boolean {
    return !this.#outbox.isEmpty;
  }

  on(event: string, listener: (data: never, message: never) => unknown): Off {
    const listeners: MessageListeners = this.#messages.get(event) ?? new Listeners(this.#report);
    this.#messages.set(event, listeners);
    const off = listeners.add(listener as (...args: unknown[]) => unknown);
    return () => {
      off();
      const isLast = listeners.size === 0 && this.#messages.get(event) === listeners;
      if (isLast) this.#messages.delete(event);
    };
  }

  send(event: string, data?: unknown): SendResult {
    const text = encode({ event, data });
    const drop = (reason: DropReason): void => this.#dropped.tell({ event, data, reason });
    if (this.#closed) {
      drop('closed');
      return 'dropped';
    }
    const result = this.#outbox.send({ text, drop });
    this.#link.need();
    return result;
  }

  request<Reply>(event: string, data?: unknown, options: RequestOptions = {}): Promise<Reply> {
    const start = (call: Call): Cancel => this.#start(event, data, call);
    return request(start, event, options, () => this.#link.probe()) as Promise<Reply>;
  }

  stream<Item>(
    event: string,
    data?: unknown,
    { signal }: StreamOptions = {},
  ): AsyncIterableIterator<Item, undefined> {
    const start = (call: Call): Cancel => this.#start(event, data, call);
    return new ItemStream(start, event, this.#maxStreamBuffer, signal);
  }

  answer(event: string, answerer: Answerer): Off {
    return this.#questions.add(event, answerer);
  }

  subscribe(topic: string, listener: (message: never) => unknown, hooks?: SubscriptionHooks): Off {
    return this.#enter(topic, hooks, (message) => {
      const isOwn = message.event === 'presence' || message.event === 'resume';
      return isOwn ? undefined : listener(message as never);
    });
  }

  presence(
    topic: string,
    listener: (change: PresenceChange) => unknown,
    hooks?: SubscriptionHooks,
  ): Off {
    return this.#enter(topic, hooks, ({ event, data }) =>
      event === 'presence' ? listener(data as PresenceChange) : undefined,
    );
  }

  onState(listener: (change: StateChange) => unknown): Off {
    return this.#states.add(listener);
  }

  onGap(listener: (gap: Gap) => unknown): Off {
    return this.#gaps.add(listener);
  }

  onDropped(listener: (message: DroppedMessage) => unknown): Off {
    return this.#dropped.add(listener);
  }

  onError(listener: (error: ClientError) => unknown): Off {
    return this.#errors.add(listener);
  }

  close(): void {
    this.#link.stop(NORMAL, 'closed by the app');
  }

  opened(): void {
    this.#outbox.opened();
    // What is said may be for a topic, and a server may take it from members only.
    this.#topics.opened(() => this.#outbox.flush());
  }

  received(data: unknown): void {
    this.#outbox.confirm();
    const frame = typeof data === 'string' ? parseFrame(data) : undefined;
    if (!frame) return this.failed(new ClientError('INVALID_FRAME', 'A frame is no message.'));
    if (this.#questions.received(frame) || this.#calls.received(frame)) return;
    this.#hand(frame);
  }

  lost(isRefusal: boolean): void {
    if (isRefusal) this.#outbox.refused();
    this.#calls.lost();
    this.#topics.lost();
    this.#tokens.lost();
  }

  stopped(code: number, reason: string): void {
    this.#closed = new ClientError('CLOSED', `The client is closed: ${code} ${reason}`);
    this.#leavePage();
    this.#calls.close(this.#closed);
    this.#outbox.close();
    this.#topics.close(this.#closed);
    this.#questions.close();
  }

  changed(change: StateChange): void {
    this.#states.tell(change);
  }

  failed(error: ClientError): void {
    if (this.#errors.size > 0) this.#errors.tell(error);
    else toConsole(error);
  }

  #start(event: string, data: unknown, call: Call): Cancel {
    if (this.#closed) throw this.#closed;
    const cancel = this.#calls.start(event, data, call);
    this.#link.need();
    return cancel;
  }

  #enter(
    topic: string,
    hooks: SubscriptionHooks | undefined,
    tell: (message: ServerMessage) => unknown,
  ): Off {
    const off = this.#topics.subscribe(topic, tell, hooks ?? {});
    this.#link.need();
    return off;
  }

  #hand(frame: Frame): void {
    const { event, data, topic, position } = frame;
    if (event === 'expiring') void this.#tokens.renew(this.#calls, this.#report);
    if (event === 'resume' && (data as { status?: unknown } | null)?.status === 'gap') {
      this.#gaps.tell(topic === undefined ? {} : { topic });
    }
    this.#messages.get(event)?.tell(data, frame);
    this.#topics.received(frame);
    // After the listeners: a message whose listeners were interrupted arrives again.
    if (topic === undefined) this.position = position ?? this.position;
  }
}

function toConsole(error: ClientError): void {
  // An error that no function takes must not be silent.
  // oxlint-disable-next-line no-console
  console.error(error);
}
