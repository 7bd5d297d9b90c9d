import type { INestApplicationContext } from '@nestjs/common';

import type { AnyContract, MessageDefinition } from '../contract/contract.js';
import type { StandardSchema } from '../contract/standard-schema.js';
import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { type JsonSchema, jsonSchemaOf, placed } from './json-schema.js';

/** What the document says of the app. */
export interface AsyncApiInfo {
  /** Default: `WebSocket API`. */
  readonly title?: string | undefined;
  /** Version of the API. Default: `1.0.0`. */
  readonly version?: string | undefined;
  readonly description?: string | undefined;
}

/** A reference to another part of the document. */
interface Reference {
  readonly $ref: string;
}

/** A message as it goes over the wire: a frame. */
export interface AsyncApiMessage {
  readonly name: string;
  readonly title: string;
  readonly description?: string;
  readonly contentType: string;
  readonly payload: JsonSchema;
}

/** The connections of one path, or the members of its topics. */
export interface AsyncApiChannel {
  /** The path, with `{room}` for a parameter `:room`. */
  readonly address: string;
  /** The parameters of the address, if it has any. */
  readonly parameters?: Record<string, AsyncApiParameter>;
  readonly title: string;
  readonly messages: Record<string, AsyncApiMessage>;
}

/** A part of the path that the client chooses. */
export interface AsyncApiParameter {
  readonly description: string;
}

/** What the server does: it receives what clients send. */
export interface AsyncApiOperation {
  readonly action: 'receive' | 'send';
  readonly title: string;
  readonly channel: Reference;
  readonly messages: readonly Reference[];
  readonly reply?: { readonly channel: Reference; readonly messages: readonly Reference[] };
}

/** An AsyncAPI 3 document: plain JSON. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0';
  readonly info: {
    readonly title: string;
    readonly version: string;
    readonly description?: string;
  };
  readonly defaultContentType: string;
  readonly channels: Record<string, AsyncApiChannel>;
  readonly operations: Record<string, AsyncApiOperation>;
}

const JSON_TYPE = 'application/json';
const PARAMETER: AsyncApiParameter = { description: 'One segment of the path, percent-encoded.' };
const ID: JsonSchema = { type: ['string', 'number'], description: 'Chosen by the client.' };

/**
 * Describes what goes over the connections of an app, by the contracts of its gateways. Call it when the app has
 * started.
 *
 * @example `writeFileSync('asyncapi.json', JSON.stringify(asyncApiDocument(app)));`
 */
export function asyncApiDocument(
  app: INestApplicationContext,
  info: AsyncApiInfo = {},
): AsyncApiDocument {
  return documentOf(app.get(GatewayRuntime, { strict: false }), info);
}

/** The document of the gateways of an app. */
export function documentOf(
  { contracts }: Pick<GatewayRuntime, 'contracts'>,
  { title = 'WebSocket API', version = '1.0.0', description }: AsyncApiInfo,
): AsyncApiDocument {
  const document: AsyncApiDocument = {
    asyncapi: '3.0.0',
    info: { title, version, ...(description !== undefined && { description }) },
    defaultContentType: JSON_TYPE,
    channels: {},
    operations: {},
  };
  for (const { path, contract } of contracts) addContract(document, path, contract);
  return document;
}

function addContract(document: AsyncApiDocument, path: string, contract: AnyContract): void {
  const address = path.replaceAll(/(?<=\/):(\w+)/g, '{$1}');
  const channel = new Channel(document, address, address, path);
  for (const [event, { data, reply, stream, description }] of Object.entries(contract.client)) {
    const sent = channel.message(event, frame(event, data, { id: ID }), description);
    const answer = reply ?? stream;
    const replied = answer
      ? channel.message(`${event}.${reply ? 'reply' : 'item'}`, frame(event, answer, { id: ID }))
      : channel.message('ack', frame('ack', undefined, { id: ID }));
    channel.operation('receive', event, sent, replied);
  }
  for (const [event, { data, description }] of Object.entries(contract.server)) {
    channel.operation('send', event, channel.message(event, frame(event, data), description));
  }
  for (const [event, { data, reply, description }] of Object.entries(contract.asks)) {
    const ask = { ask: { type: 'string' } };
    const asked = channel.message(`${event}.ask`, frame(event, data, ask, ['ask']), description);
    const body = frame('answer', reply, ask, ['ask']);
    channel.operation('send', `${event}.ask`, asked, channel.message(`${event}.answer`, body));
  }
  for (const [topic, messages] of Object.entries(contract.topics)) {
    addTopic(new Channel(document, address, topic, `${path} topic ${topic}`), topic, messages);
  }
}

function addTopic(
  channel: Channel,
  topic: string,
  messages: Readonly<Record<string, MessageDefinition>>,
): void {
  const name = { topic: { type: 'string', description: topic } };
  for (const [event, { data, description }] of Object.entries(messages)) {
    const sent = channel.message(event, frame(event, data, name, ['topic']), description);
    channel.operation('send', event, sent);
  }
}

/** One channel of a document, under a name that a reference may contain. */
class Channel {
  readonly #name: string;
  readonly #ref: Reference;
  readonly #channel: AsyncApiChannel;

  constructor(
    private readonly document: AsyncApiDocument,
    address: string,
    title: string,
    name: string,
  ) {
    this.#name = plainName(name, document.channels);
    this.#ref = { $ref: `#/channels/${this.#name}` };
    const parameters = [...address.matchAll(/\{(\w+)\}/g)].map(([, own]) => [own!, PARAMETER]);
    const described = parameters.length > 0 && { parameters: Object.fromEntries(parameters) };
    this.#channel = { address, title, ...described, messages: {} };
    document.channels[this.#name] = this.#channel;
  }

  message(name: string, payload: JsonSchema, description?: string): Reference {
    const { messages } = this.#channel;
    const same = name === 'ack' && Object.hasOwn(messages, name);
    const key = same ? name : plainName(name, messages);
    const place = `${this.#ref.$ref}/messages/${key}`;
    messages[key] = {
      name,
      title: name,
      ...(description !== undefined && { description }),
      contentType: JSON_TYPE,
      // Of a frame, only the data may refer to itself.
      payload: placed(payload, `${place}/payload/properties/data`),
    };
    return { $ref: place };
  }

  operation(
    action: AsyncApiOperation['action'],
    title: string,
    message: Reference,
    reply?: Reference,
  ): void {
    const { operations } = this.document;
    operations[plainName(`${this.#name}.${action}.${title}`, operations)] = {
      action,
      title,
      channel: this.#ref,
      messages: [message],
      ...(reply && { reply: { channel: this.#ref, messages: [reply] } }),
    };
  }
}

// Names are part of references: letters, digits and `._-` only, and each once.
function plainName(name: string, taken: object): string {
  const plain = name.replaceAll(/[^\w.-]+/g, '_').replaceAll(/^_|_$/g, '') || 'root';
  let free = plain;
  for (let number = 2; Object.hasOwn(taken, free); number += 1) free = `${plain}_${number}`;
  return free;
}

function frame(
  event: string,
  data: StandardSchema | undefined,
  more: Readonly<Record<string, JsonSchema>> = {},
  required: readonly string[] = [],
): JsonSchema {
  return {
    type: 'object',
    properties: { event: { const: event }, ...(data && { data: jsonSchemaOf(data) }), ...more },
    required: ['event', ...required],
  };
}
