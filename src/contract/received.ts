import type { AnyContract, MessageDefinition, Messages } from './contract.js';
import type { StandardSchema } from './standard-schema.js';
import { matchesTopic, textLength } from './topic-pattern.js';

/** What tells a client which message of the contract a frame is. */
export interface ReceivedFrame {
  readonly event: string;
  readonly id?: unknown;
  readonly ask?: unknown;
  readonly topic?: unknown;
}

/**
 * The schema of the data that a frame of the server has. `undefined` where the contract says nothing about it: messages
 * of the library, messages without data, and events that the contract does not have.
 */
export function receivedSchema(
  contract: AnyContract,
  { event, id, ask, topic }: ReceivedFrame,
): StandardSchema | undefined {
  if (typeof ask === 'string') return own(contract.asks, event)?.data;
  if (typeof topic === 'string') return topicMessage(contract, topic, event)?.data;
  return id === undefined && Object.hasOwn(contract.server, event)
    ? contract.server[event]!.data
    : replyTo(contract, event);
}

// A reply without an id may look like a message of the server, which goes first. With one, it can only be a reply.
function replyTo({ client }: AnyContract, event: string): StandardSchema | undefined {
  const replied = own(client, event);
  return replied?.reply ?? replied?.stream;
}

function topicMessage(
  { topics }: AnyContract,
  topic: string,
  event: string,
): MessageDefinition | undefined {
  const matching = Object.keys(topics).filter(
    (pattern) => own(topics[pattern]!, event) && matchesTopic(pattern, topic),
  );
  const [closest] = matching.toSorted((a, b) => textLength(b) - textLength(a));
  return closest === undefined ? undefined : own(topics[closest]!, event);
}

function own<M extends Messages>(messages: M, event: string): M[string] | undefined {
  return Object.hasOwn(messages, event) ? (messages[event] as M[string]) : undefined;
}
