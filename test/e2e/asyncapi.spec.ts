import { createRequire } from 'node:module';

import { afterEach, describe, expect, it } from '@jest/globals';
import { type CallHandler, type ExecutionContext, Injectable } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { IsolatedGateway } from 'nestjs-websocket-isolation';
import {
  asyncApiDocument,
  type AsyncApiDocument,
  WebSocketIsolationAsyncApiModule,
} from 'nestjs-websocket-isolation/asyncapi';
import { defineContract } from 'nestjs-websocket-isolation/contract';
import { toStandardJsonSchema } from '@valibot/to-json-schema';
import { type } from 'arktype';
import { map } from 'rxjs';
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

interface Folder {
  readonly name: string;
  readonly in?: Folder | undefined;
}
const Folder: z.ZodType<Folder> = z.object({
  name: z.string(),
  get in() {
    return Folder.optional();
  },
});

const mixed = defineContract({
  client: {
    folder: { data: z.object({ folder: Folder }), stream: Folder },
    ark: { data: type({ count: 'number > 0' }) },
    valibot: { data: toStandardJsonSchema(v.object({ at: v.string() })) },
    mute: { data: v.string() },
    parts: { data: z.object({ at: z.coerce.date(), tags: z.set(z.string()), name: z.string() }) },
  },
  server: { 'a/b c~{d}': { data: z.string() } },
});

@IsolatedGateway({ path: '/chat', contract: chat })
class ChatGateway {}

@IsolatedGateway({ path: '/other', contract: mixed })
class OtherGateway {}

@IsolatedGateway({ path: '/room/:room/seat/:seat_1', contract: chat })
class RoomGateway {}

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
    const document = await written(ChatGateway, OtherGateway, RoomGateway);
    const { diagnostics } = await new Parser().parse(JSON.stringify(document));
    expect(diagnostics.filter(({ severity }) => severity === ERROR)).toEqual([]);
    // And the parser finds what is wrong.
    const broken = { ...document, channels: { chat: { messages: 1 } } };
    const found = await new Parser().parse(JSON.stringify(broken));
    expect(found.diagnostics.filter(({ severity }) => severity === ERROR)).not.toEqual([]);
  });

  it('has references that lead to their schema', async () => {
    const document = await written(OtherGateway);
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)];
    const found = refs.map(([, path]) =>
      path!
        .split('/')
        .reduce<unknown>((part, key) => (part as Record<string, unknown>)?.[key], document),
    );
    expect(refs.some(([, path]) => path!.includes('/properties/data'))).toBe(true);
    expect(found.filter((part) => typeof part !== 'object' || part === null)).toEqual([]);
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
    // A part that JSON Schema does not have takes nothing away from the others.
    expect(dataOf('parts')).toMatchObject({
      properties: {
        at: { type: 'string', format: 'date-time' },
        tags: { description: expect.stringMatching(/^Not described: Set cannot/) },
        name: { type: 'string' },
      },
    });
  });

  it('writes the parameters of a path as AsyncAPI does', async () => {
    const { channels } = await written(RoomGateway);
    const description = 'One segment of the path, percent-encoded.';
    const own = {
      address: '/room/{room}/seat/{seat_1}',
      parameters: { room: { description }, seat_1: { description } },
    };
    expect(Object.values(channels)).toMatchObject([
      { ...own, title: own.address },
      { ...own, title: 'room:{id}' },
    ]);
  });

  it('is empty for an app without contracts', async () => {
    @IsolatedGateway({ path: '/plain' })
    class Plain {}
    expect(await written(Plain)).toMatchObject({ channels: {}, operations: {} });
  });
});

function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${app.port}${path}`, { headers });
}

describe('the AsyncAPI page', () => {
  const module = WebSocketIsolationAsyncApiModule;
  const FILES = [
    '',
    '/asyncapi.json',
    '/page.js',
    '/schema.js',
    '/page.css',
    '/base.css',
    '/dom.js',
    '/icon.svg',
  ];

  @Injectable()
  class DeveloperGuard {
    async canActivate(context: ExecutionContext): Promise<boolean> {
      await Promise.resolve();
      const { headers } = context.switchToHttp().getRequest<Request & { headers: object }>();
      return 'x-developer' in headers;
    }
  }

  it('stops the boot without a guard, and for an option that does not exist', () => {
    const text = /has no guard. Write WebSocketIsolationAsyncApiModule.forRoot/;
    expect(() => module.forRoot({})).toThrow(text);
    expect(() => module.forRoot({ guard: true as never })).toThrow(/guard is true/);
    expect(() => module.forRoot({ gaurd: () => true } as never)).toThrow(/guard/);
  });

  it('serves the document and the page to those whom its guard admits, and to no others', async () => {
    app = await startApp({
      providers: [ChatGateway],
      imports: [module.forRoot({ guard: DeveloperGuard, title: 'Chat', version: '2.0.0' })],
    });
    for (const file of FILES) {
      const refused = await get(`/asyncapi${file}`);
      expect([file, refused.status]).toEqual([file, 403]);
      expect(await refused.text()).not.toContain('confirm');
      const { headers, status } = await get(`/asyncapi${file}`, { 'x-developer': '1' });
      expect([file, status]).toEqual([file, 200]);
      for (const answer of [headers, refused.headers]) {
        expect(answer.get('content-security-policy')).toContain("default-src 'none'");
        expect(answer.get('x-content-type-options')).toBe('nosniff');
      }
    }
    const answer = await get('/asyncapi/asyncapi.json', { 'x-developer': '1' });
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    const document = asyncApiDocument(app.app, { title: 'Chat', version: '2.0.0' });
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(document)));
    expect((await get('/asyncapi/index.html', { 'x-developer': '1' })).status).toBe(404);
  });

  it('admits this machine only, with allowAnonymous', async () => {
    app = await startApp({ imports: [module.forRoot({ allowAnonymous: true })] });
    expect(await (await get('/asyncapi/')).text()).toContain('src="./page.js"');
    expect((await get('/asyncapi', { 'x-forwarded-for': '10.0.0.1' })).status).toBe(403);
  });

  it('keeps its form on Fastify, below a prefix, in an app that wraps all responses', async () => {
    app = await startApp({
      imports: [module.forRoot({ guard: () => true, path: 'docs/ws' })],
      adapter: new FastifyAdapter(),
      prepare: (nest) => {
        nest.setGlobalPrefix('api');
        nest.useGlobalInterceptors({
          intercept: (_context: ExecutionContext, next: CallHandler) =>
            next.handle().pipe(map((data: unknown) => ({ data }))),
        });
      },
    });
    expect(await (await get('/api/docs/ws')).text()).toContain('src="ws/page.js"');
    expect(await (await get('/api/docs/ws/asyncapi.json')).json()).toMatchObject({
      asyncapi: '3.0.0',
    });
  });

  it('says whose guard answers nonsense', async () => {
    const lines: string[] = [];
    const logger = { log: ignore, error: ignore, warn: (line: string) => lines.push(line) };
    const guard = (() => 'yes') as never;
    app = await startApp({ imports: [module.forRoot({ guard })], logger });
    expect((await get('/asyncapi')).status).toBe(403);
    expect(lines.join()).toMatch(
      /that the AsyncAPI page calls has failed.*guard of the AsyncAPI page/,
    );
  });
});

function ignore(): void {
  // Not a line of this test.
}
