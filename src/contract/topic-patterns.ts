import type { AnyContract, MessageDefinition, Messages } from './contract.js';

/** One or more characters of a topic's name. */
const PARAMETER = /\{[^{}]*\}/;

interface Pattern {
  readonly parts: readonly string[];
  readonly messages: Messages;
}

/** Finds the messages of a topic by its name. */
export class TopicPatterns {
  // The most literal characters first: `room:lobby` before `room:{id}`.
  readonly #patterns: readonly Pattern[];

  constructor({ topics }: Pick<AnyContract, 'topics'>) {
    this.#patterns = Object.entries(topics)
      .map(([pattern, messages]) => ({ parts: pattern.split(PARAMETER), messages }))
      .toSorted((a, b) => lengthOf(b.parts) - lengthOf(a.parts));
  }

  /** `undefined` for a topic, or an event, that the contract does not have. */
  messageOf(topic: string, event: string): MessageDefinition | undefined {
    const messages = this.#patterns.find(({ parts }) => fits(topic, parts))?.messages;
    return messages && ownOf(messages, event);
  }
}

/** A name comes from the other side: `constructor` is no message. */
export function ownOf<T>(messages: Readonly<Record<string, T>>, name: unknown): T | undefined {
  return typeof name === 'string' && Object.hasOwn(messages, name) ? messages[name] : undefined;
}

// Linear in the length of the name: each part is looked for after the previous one. A parameter has at least one
// character.
function fits(topic: string, parts: readonly string[]): boolean {
  if (parts.length === 1) return topic === parts[0];
  const last = parts.at(-1)!;
  if (!topic.startsWith(parts[0]!) || !topic.endsWith(last)) return false;
  let at = parts[0]!.length;
  for (const part of parts.slice(1, -1)) {
    const found = topic.indexOf(part, at + 1);
    if (found === -1) return false;
    at = found + part.length;
  }
  return topic.length - last.length > at;
}

function lengthOf(parts: readonly string[]): number {
  return parts.join('').length;
}
