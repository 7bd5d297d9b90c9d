import type { StandardSchema } from './standard-schema.js';

/** A message with at most one value. */
export interface MessageDefinition {
  /** Schema of `data`. Without one, senders pass no data, and nothing is checked. */
  readonly data?: StandardSchema | undefined;
  /** For readers of the AsyncAPI document. */
  readonly description?: string | undefined;
}

/** A message that is replied to. */
export interface RepliedDefinition extends MessageDefinition {
  /** Schema of the one reply. Without it, the message is acknowledged. */
  readonly reply?: StandardSchema | undefined;
}

/** A message of a client. */
export interface ClientMessageDefinition extends RepliedDefinition {
  /** Schema of each item, where the message is replied to with a stream. Excludes `reply`. */
  readonly stream?: StandardSchema | undefined;
}

/** Messages by the name of their event. */
export type Messages = Readonly<Record<string, MessageDefinition>>;

/** Everything that goes over the connections of a gateway. */
export interface AnyContract {
  /** What clients send. */
  readonly client: Readonly<Record<string, ClientMessageDefinition>>;
  /** What the server sends by itself: to a connection, a user, a thread, or to all. */
  readonly server: Messages;
  /** What the server asks, and clients answer. */
  readonly asks: Readonly<Record<string, RepliedDefinition>>;
  /** What members of topics get, by the name of the topic. `{…}` in a name stands for any text: `room:{id}`. */
  readonly topics: Readonly<Record<string, Messages>>;
}

/** A contract as it is written: each group may be left out. */
export type ContractDefinition = { readonly [Group in keyof AnyContract]?: AnyContract[Group] };

type Group = keyof AnyContract;

/** A contract, as {@link defineContract} returns it: every group is there. Frozen. */
export type Contract<Definition extends ContractDefinition> = {
  readonly [Name in Group]: Name extends keyof Definition
    ? NonNullable<Definition[Name]>
    : // A group without messages. An index signature would admit any name.
      // oxlint-disable-next-line typescript/no-generated-empty-object-type
      Readonly<Record<never, never>>;
};

/** The events with which this library replies and informs: an app sends none of them. */
const OWN_EVENTS: ReadonlySet<string> = new Set([
  'exception',
  'ack',
  'complete',
  'answered',
  'subscribed',
  'unsubscribed',
  'presence',
  'renewed',
  'expiring',
  'resume',
]);

const FIELDS: Readonly<Record<Group, readonly string[]>> = {
  client: ['data', 'reply', 'stream', 'description'],
  server: ['data', 'description'],
  asks: ['data', 'reply', 'description'],
  topics: ['data', 'description'],
};

/**
 * Defines what goes over the connections of a gateway, once for the server, its clients and its tests. Needs neither
 * Nest nor Node.js: put it into a file that both sides import.
 *
 * @example
 * ```ts
 * export const chat = defineContract({
 *   client: { say: { data: z.object({ text: z.string() }), reply: z.object({ at: z.number() }) } },
 *   server: { said: { data: z.object({ text: z.string() }) } },
 * });
 * ```
 * @throws {TypeError} that names the part which is no schema, or is unknown
 */
export function defineContract<const Definition extends ContractDefinition>(
  definition: Definition,
): Contract<Definition> {
  assertObject(definition, 'a contract');
  assertNames(definition, 'the contract', Object.keys(FIELDS));
  const { client = {}, server = {}, asks = {}, topics = {} } = definition;
  assertMessages(client, 'client');
  assertMessages(server, 'server');
  assertMessages(asks, 'asks');
  assertObject(topics, '`topics`');
  for (const [topic, messages] of Object.entries(topics)) {
    assertMessages(messages, 'topics', `topics['${topic}']`);
  }
  return Object.freeze({ client, server, asks, topics }) as Contract<Definition>;
}

/** Whether a value is a contract. Another copy of this package may have made it. */
export function isContract(value: unknown): value is AnyContract {
  return isObject(value) && Object.keys(FIELDS).every((group) => isObject(value[group]));
}

function assertMessages(messages: unknown, group: Group, path: string = group): void {
  assertObject(messages, `\`${path}\``);
  for (const [event, message] of Object.entries(messages)) {
    const name = `${path}.${event}`;
    assertObject(message, `\`${name}\``);
    assertNames(message, `\`${name}\``, FIELDS[group]);
    const { data, reply, stream } = message as ClientMessageDefinition;
    assertSchema(data, `${name}.data`);
    assertSchema(reply, `${name}.reply`);
    assertSchema(stream, `${name}.stream`);
    if (reply && stream) {
      throw new TypeError(`Expected \`${name}\` to have \`reply\` or \`stream\`, got both.`);
    }
    const isOwn = (group === 'server' || group === 'topics') && OWN_EVENTS.has(event);
    if (isOwn) throw new TypeError(`\`${name}\` is an event of this library. Choose another name.`);
  }
}

function assertSchema(schema: unknown, path: string): void {
  if (schema === undefined) return;
  const standard = isObject(schema) ? schema['~standard'] : undefined;
  if (isObject(standard) && standard['version'] === 1 && typeof standard['validate'] === 'function')
    return;
  throw new TypeError(
    `Expected \`${path}\` to be a schema that follows Standard Schema 1 (zod, valibot, arktype, …), ` +
      `got ${kindOf(schema)}.`,
  );
}

function assertObject(value: unknown, what: string): asserts value is object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new TypeError(`Expected ${what} to be an object, got ${kindOf(value)}.`);
}

function assertNames(value: object, what: string, known: readonly string[]): void {
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new TypeError(`Expected ${what} to have only ${known.join(', ')}, got \`${unknown}\`.`);
}

// A schema may be a function, as those of arktype are.
function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function kindOf(value: unknown): string {
  return value === null
    ? 'null'
    : Array.isArray(value)
      ? 'an array'
      : `a value of type ${typeof value}`;
}
