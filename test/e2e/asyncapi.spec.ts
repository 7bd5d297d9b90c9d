import { createRequire } from 'node:module';

import { afterEach, describe, expect, it } from '@jest/globals';
import { IsolatedGateway } from 'nestjs-websocket-isolation';
import { asyncApiDocument, type AsyncApiDocument } from 'nestjs-websocket-isolation/asyncapi';
import { defineContract } from 'nestjs-websocket-isolation/contract';
import { toStandardJsonSchema } from '@valibot/to-json-schema';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';

import { chat } from '../support/chat-contract.js';
import { startApp, type TestApp } from '../support/test-app.js';

// CommonJS, with types that do not resolve in ESM.
const { Parser } = createRequire(import.meta.url)('@asyncapi/parser') as {
  Parser: new () => {
    parse(text: string): Promise<{ diagnostics: { severity: number; message: string }[] }>;
  };
};
const ERROR = 0;

const mixed = defineContract({
  client: {
    ark: { data: type({ count: 'number > 0' }) },
    valibot: { data: toStandardJsonSchema(v.object({ at: v.string() })) },
    mute: { data: v.string() },
    date: { data: z.object({ at: z.date() }) },
  },
  server: { 'a/b c~{d}': { data: z.string() } },
});

@IsolatedGateway({ path: '/chat', contract: chat })
class ChatGateway {}

@IsolatedGateway({ path: '/other', contract: mixed })
class OtherGateway {}

let app: TestApp;
afterEach(async () => app?.close());

async function written(...providers: (new () => object)[]): Promise<AsyncApiDocument> {
  app = await startApp({ providers });
  // As a file has it.
  return JSON.parse(
    JSON.stringify(asyncApiDocument(app.app, { title: 'Chat', version: '2.0.0' })),
  ) as AsyncApiDocument;
}

describe('the AsyncAPI document of an app', () => {
  it('is accepted by the parser of AsyncAPI', async () => {
    const document = await written(ChatGateway, OtherGateway);
    const { diagnostics } = await new Parser().parse(JSON.stringify(document));
    expect(diagnostics.filter(({ severity }) => severity === ERROR)).toEqual([]);
    // And the parser finds what is wrong.
    const broken = { ...document, channels: { chat: { messages: 1 } } };
    const found = await new Parser().parse(JSON.stringify(broken));
    expect(found.diagnostics.filter(({ severity }) => severity === ERROR)).not.toEqual([]);
  });

  it('has every message of the contract, as it goes over the wire', async () => {
    const { info, channels, operations } = await written(ChatGateway);
    expect(info).toEqual({ title: 'Chat', version: '2.0.0' });
    expect(Object.keys(channels)).toEqual(['chat', 'chat_topic_room_id']);
    expect(channels['chat']).toMatchObject({ address: '/chat' });
    expect(Object.keys(channels['chat']!.messages)).toEqual([
      'say',
      'say.reply',
      'count',
      'count.item',
      'leave',
      'ack',
      'ping',
      'said',
      'tick',
      'confirm.ask',
      'confirm.answer',
      'age.ask',
      'age.answer',
    ]);
    expect(channels['chat']!.messages['say']).toMatchObject({
      description: 'Says something to all.',
      payload: {
        properties: {
          event: { const: 'say' },
          // What clients send: `at` has a default.
          data: { type: 'object', required: ['text'] },
        },
      },
    });
    expect(operations['chat.receive.say']).toEqual({
      action: 'receive',
      title: 'say',
      channel: { $ref: '#/channels/chat' },
      messages: [{ $ref: '#/channels/chat/messages/say' }],
      reply: {
        channel: { $ref: '#/channels/chat' },
        messages: [{ $ref: '#/channels/chat/messages/say.reply' }],
      },
    });
    expect(operations['chat.send.said']).toMatchObject({ action: 'send' });
  });

  it('describes the schemas of each library, and says where it cannot', async () => {
    const { channels } = await written(OtherGateway);
    const dataOf = (message: string): unknown =>
      (channels['other']!.messages[message]!.payload as { properties: { data: unknown } })
        .properties.data;
    expect(dataOf('ark')).toMatchObject({ properties: { count: { type: 'number' } } });
    expect(dataOf('valibot')).toMatchObject({ properties: { at: { type: 'string' } } });
    expect(dataOf('mute')).toEqual({ description: expect.stringContaining('Not described') });
    expect(dataOf('date')).toEqual({ description: expect.stringContaining('Date') });
  });

  it('is empty for an app without contracts', async () => {
    @IsolatedGateway({ path: '/plain' })
    class Plain {}
    expect(await written(Plain)).toMatchObject({ channels: {}, operations: {} });
  });
});
