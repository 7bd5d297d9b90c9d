import type { AnyContract } from './contract.js';
import type { InputOf, OutputOf } from './standard-schema.js';

/** Stands for no contract: any event with any data. */
// oxlint-disable-next-line typescript/no-explicit-any
export type NoContract = any;

/** Only `any` is both above and below every type. */
type IsAny<T> = 0 extends 1 & T ? true : false;

/** `string` without a contract; with one, there is no such event. */
export type WithoutContract<Group> = IsAny<Group> extends true ? string : never;

/** The names of a group's messages. */
export type EventOf<Group> = IsAny<Group> extends true ? string : keyof Group & string;

type SchemaIn<Group, Event extends PropertyKey, Part extends string> = Event extends keyof Group
  ? Part extends keyof Group[Event]
    ? Exclude<Group[Event][Part], undefined>
    : undefined
  : undefined;

type Sent<Schema> = [Schema] extends [undefined] ? undefined : InputOf<Schema>;
type Received<Schema, Unchecked> = [Schema] extends [undefined] ? Unchecked : OutputOf<Schema>;

/** The data that a sender passes. */
export type SentData<Group, Event extends PropertyKey> =
  IsAny<Group> extends true ? unknown : Sent<SchemaIn<Group, Event, 'data'>>;

/** The data as arguments: optional where a message needs none. */
export type SentArgs<Group, Event extends PropertyKey> =
  undefined extends SentData<Group, Event>
    ? [data?: SentData<Group, Event>]
    : [data: SentData<Group, Event>];

/** The data and the options of a call as arguments. */
export type CallArgs<Group, Event extends PropertyKey, Options> =
  undefined extends SentData<Group, Event>
    ? [data?: SentData<Group, Event>, options?: Options]
    : [data: SentData<Group, Event>, options?: Options];

/** The data that a receiver gets. `Unchecked` is its type where the message has no schema. */
export type ReceivedData<Group, Event extends PropertyKey, Unchecked = undefined> =
  IsAny<Group> extends true ? unknown : Received<SchemaIn<Group, Event, 'data'>, Unchecked>;

/** The reply as its sender returns it. */
export type SentReply<Group, Event extends PropertyKey> =
  IsAny<Group> extends true ? unknown : Sent<SchemaIn<Group, Event, 'reply'>>;

/** The reply as its receiver gets it. `undefined` for an acknowledgement. */
export type ReceivedReply<Group, Event extends PropertyKey> =
  IsAny<Group> extends true ? unknown : Received<SchemaIn<Group, Event, 'reply'>, undefined>;

/** An item of a stream as a handler yields it. */
export type SentItem<Group, Event extends PropertyKey> =
  IsAny<Group> extends true ? unknown : Sent<SchemaIn<Group, Event, 'stream'>>;

/** An item of a stream as a client gets it. */
export type ReceivedItem<Group, Event extends PropertyKey> =
  IsAny<Group> extends true ? unknown : Received<SchemaIn<Group, Event, 'stream'>, undefined>;

/** The messages of a group that are replied to with a stream. */
export type StreamEventOf<Group> =
  IsAny<Group> extends true
    ? string
    : {
        [Event in keyof Group]: SchemaIn<Group, Event, 'stream'> extends undefined ? never : Event;
      }[keyof Group] &
        string;

/** The data of a client's message, as its handler gets it: `DataOf<typeof chat, 'say'>`. */
export type DataOf<C extends AnyContract, Event extends EventOf<C['client']>> = ReceivedData<
  C['client'],
  Event,
  unknown
>;

/** The reply to a client's message, as its handler returns it: `ReplyOf<typeof chat, 'say'>`. */
export type ReplyOf<C extends AnyContract, Event extends EventOf<C['client']>> = SentReply<
  C['client'],
  Event
>;

/** An item of a stream, as its handler yields it: `AsyncIterable<ItemOf<typeof chat, 'history'>>`. */
export type ItemOf<C extends AnyContract, Event extends StreamEventOf<C['client']>> = SentItem<
  C['client'],
  Event
>;

type NameFor<Pattern extends string> = Pattern extends `${infer Before}{${string}}${infer After}`
  ? `${Before}${string}${NameFor<After>}`
  : Pattern;

/** The names that a contract's topics may have: `` `room:${string}` `` for `room:{id}`. */
export type TopicName<C extends AnyContract> =
  IsAny<C> extends true ? string : NameFor<keyof C['topics'] & string>;

/** The messages to the members of a topic. */
export type TopicMessages<C extends AnyContract, Topic extends string> =
  IsAny<C> extends true
    ? NoContract
    : {
        [Pattern in keyof C['topics'] & string]: Topic extends NameFor<Pattern>
          ? C['topics'][Pattern]
          : never;
      }[keyof C['topics'] & string];
