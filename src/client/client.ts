import type { AnyContract } from '../contract/contract.js';
import type {
  CallArgs,
  EventOf,
  NoContract,
  ReceivedData,
  ReceivedItem,
  ReceivedReply,
  SentArgs,
  SentReply,
  StreamEventOf,
  TopicMessages,
  TopicName,
  WithoutContract,
} from '../contract/message-types.js';
import type { ClientError } from './client.error.js';
import type { Off } from './listeners.js';
import type { ServerMessage } from './message.js';
import type { DropReason, SendResult } from './outbox.js';
import type { Question } from './questions.js';
import type { RequestOptions } from './request.js';
import type { ClientState, StateChange } from './state.js';
import type { StreamOptions } from './stream.js';
import type { PresenceChange, SubscriptionHooks } from './topics.js';

/** A message that was never sent. */
export interface DroppedMessage {
  readonly event: string;
  readonly data: unknown;
  readonly reason: DropReason;
}

/** Messages may be missing: load the state anew. */
export interface Gap {
  /** Without one, it is the thread of the connection. */
  readonly topic?: string;
}

/**
 * Events that the library sends itself, whatever the contract names: `exception` after a message without an id,
 * `expiring` before the identity ends, `resume` after a return.
 */
export type LibraryEvent = 'exception' | 'expiring' | 'resume';

/** A message to the members of a topic: its event tells the type of its data. */
export type TopicMessageOf<Group> = {
  [Event in EventOf<Group>]: ServerMessage<ReceivedData<Group, Event>> & { readonly event: Event };
}[EventOf<Group>];

/** A connection to the server that comes back. Made by `connect()`. */
export interface Client<C extends AnyContract = NoContract> {
  readonly state: ClientState;

  /**
   * Calls a function for every message of an event, except for replies. Messages to topics are among them.
   *
   * @returns what takes the function back
   */
  on<Data = unknown>(
    event: WithoutContract<C> | Exclude<LibraryEvent, EventOf<C['server']>>,
    listener: (data: Data, message: ServerMessage<Data>) => unknown,
  ): Off;
  on<Event extends EventOf<C['server']>>(
    event: Event,
    listener: (
      data: ReceivedData<C['server'], Event>,
      message: ServerMessage<ReceivedData<C['server'], Event>>,
    ) => unknown,
  ): Off;

  /**
   * Sends a message. Without a connection, it waits for one, and then until the server has replied for all topics of
   * the client, within the bounds `maxQueued` and `maxQueuedBytes`; beyond them, `dropped` is returned, and
   * `onDropped()` told. `sent` says that the socket has it: for proof that the server has handled it, use
   * {@link request}.
   *
   * @throws {TypeError} for data that JSON cannot express
   */
  send<Event extends EventOf<C['client']>>(
    event: Event,
    ...sent: SentArgs<C['client'], Event>
  ): SendResult;

  /**
   * Sends a message, and resolves with the data of the reply; with `undefined` when the handler returned nothing.
   *
   * @throws {ClientError} as a rejection: with the code of the server's `exception`, or with `TIMEOUT`, `QUEUE_FULL`,
   *   `CONNECTION_LOST`, `CLOSED`
   * @throws the reason of `signal`, as a rejection
   */
  request<Reply = unknown>(
    event: WithoutContract<C>,
    data?: unknown,
    options?: RequestOptions,
  ): Promise<Reply>;
  request<Event extends EventOf<C['client']>>(
    event: Event,
    ...sent: CallArgs<C['client'], Event, RequestOptions>
  ): Promise<ReceivedReply<C['client'], Event>>;

  /**
   * The items with which a handler replies. The message is sent when the first item is asked for. Leaving the loop
   * tells the server to cancel.
   *
   * @example `for await (const { text } of client.stream<Token>('ask', { question })) show(text);`
   * @throws {ClientError} when iterated: as {@link request}, and `STREAM_OVERFLOW`
   */
  stream<Item = unknown>(
    event: WithoutContract<C>,
    data?: unknown,
    options?: StreamOptions,
  ): AsyncIterableIterator<Item, undefined>;
  stream<Event extends StreamEventOf<C['client']>>(
    event: Event,
    ...sent: CallArgs<C['client'], Event, StreamOptions>
  ): AsyncIterableIterator<ReceivedItem<C['client'], Event>, undefined>;

  /**
   * Answers a question of the server. What the function returns, or its promise resolves to, is the answer; what it
   * throws is told to the server, as `{ code, message }`.
   *
   * @returns what takes the function back
   * @throws {TypeError} when another function answers the event already
   */
  answer<Event extends EventOf<C['asks']>>(
    event: Event,
    answerer: (
      data: ReceivedData<C['asks'], Event>,
      question: Question,
    ) => SentReply<C['asks'], Event> | Promise<SentReply<C['asks'], Event>>,
  ): Off;

  /**
   * Subscribes to a topic, now and over every new connection, and calls a function for all its messages. After a
   * reconnect, what was missed arrives first, or `onGap()` is told. Several functions may share a topic.
   *
   * @returns what takes the function back, and with the last one leaves the topic
   */
  subscribe<Data = unknown>(
    topic: WithoutContract<C>,
    listener: (message: ServerMessage<Data>) => unknown,
    hooks?: SubscriptionHooks,
  ): Off;
  subscribe<Topic extends TopicName<C>>(
    topic: Topic,
    listener: (message: TopicMessageOf<TopicMessages<C, Topic>>) => unknown,
    hooks?: SubscriptionHooks,
  ): Off;

  /** Subscribes to a topic as {@link subscribe} does, and calls a function when users come and go. */
  presence(
    topic: TopicName<C>,
    listener: (change: PresenceChange) => unknown,
    hooks?: SubscriptionHooks,
  ): Off;

  /** Calls a function after each change of {@link state}. */
  onState(listener: (change: StateChange) => unknown): Off;

  /** Calls a function when messages may be missing, of the thread or of a topic. */
  onGap(listener: (gap: Gap) => unknown): Off;

  /** Calls a function for each message of {@link send} that is dropped. */
  onDropped(listener: (message: DroppedMessage) => unknown): Off;

  /** Calls a function for errors that no promise carries. Without one, they are written to the console. */
  onError(listener: (error: ClientError) => unknown): Off;

  /** Ends it for good: requests are rejected with `CLOSED`, and what waits is dropped. */
  close(): void;
}
