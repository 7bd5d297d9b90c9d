import { check, faultText } from '../contract/check.js';
import type { AnyContract } from '../contract/contract.js';
import type {
  EventOf,
  NoContract,
  ReceivedData,
  ReceivedItem,
  ReceivedReply,
  StreamEventOf,
} from '../contract/message-types.js';
import { receivedSchema } from '../contract/received.js';
import { systemClock } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import { patienceMs } from './patience.js';
import type { ReceivedMessage } from './received-message.js';

/** The events with which this library replies and informs. */
export type LibraryEvent =
  | 'exception'
  | 'ack'
  | 'complete'
  | 'answered'
  | 'subscribed'
  | 'unsubscribed'
  | 'presence'
  | 'renewed'
  | 'expiring'
  | 'resume';

type TopicEvent<C extends AnyContract> = {
  [Pattern in keyof C['topics']]: EventOf<C['topics'][Pattern]>;
}[keyof C['topics']];

/** The events that a client of a contract may receive. */
export type ExpectedEvent<C extends AnyContract> =
  EventOf<C['server']> | EventOf<C['asks']> | EventOf<C['client']> | TopicEvent<C> | LibraryEvent;

type Answered<Group, Event extends string> =
  Event extends StreamEventOf<Group>
    ? ReceivedItem<Group, Event>
    : Event extends EventOf<Group>
      ? ReceivedReply<Group, Event>
      : never;

type Data<Group, Event extends string> =
  Event extends EventOf<Group> ? ReceivedData<Group, Event> : never;

/** The data of an event as a test gets it: of anything in the contract that has this name. */
export type ExpectedData<C extends AnyContract, Event extends string> = 0 extends 1 & C
  ? NoContract
  : Event extends LibraryEvent
    ? NoContract
    : | Data<C['server'], Event>
      | Data<C['asks'], Event>
      | Answered<C['client'], Event>
      | { [Pattern in keyof C['topics']]: Data<C['topics'][Pattern], Event> }[keyof C['topics']];

/**
 * A message with what the contract makes of its data.
 *
 * @throws {Error} as a rejection, for data that does not fit, or cannot be checked in time
 */
export async function fitting(
  contract: AnyContract,
  message: ReceivedMessage,
): Promise<ReceivedMessage> {
  // An app may send `null` as well.
  const frame = (message as ReceivedMessage | null) ?? { event: '', raw: 'text' };
  const schema = frame.raw === undefined ? receivedSchema(contract, frame) : undefined;
  if (!schema) return message;
  const [what, ms] = [`"${message.event}"`, patienceMs()];
  const pending = Promise.resolve(check(schema, message.data));
  const checked = await withDeadline(systemClock, ms, pending);
  if (checked === TIMED_OUT) throw new Error(`The schema of ${what} did not decide in ${ms} ms.`);
  if (checked.issues) throw new Error(`${faultText(what, checked.issues)}.`);
  return { ...message, data: checked.value };
}
