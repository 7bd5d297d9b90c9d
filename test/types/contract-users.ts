// `npm run typecheck` checks this file; it never runs. It contains code that must compile, and code that must not.
import type { WebSocketEmitter, WebSocketManager } from 'nestjs-websocket-isolation';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { connectChecked } from 'nestjs-websocket-isolation/checked';
import { type Client, connect } from 'nestjs-websocket-isolation/client';
import type { DataOf, ItemOf, ReplyOf } from 'nestjs-websocket-isolation/contract';
import type { TestApplication, TestClient } from 'nestjs-websocket-isolation/testing';

import { chat } from '../support/chat-contract.js';

type Chat = typeof chat;

export class Handlers {
  @SubscribeMessage('say')
  say(@MessageBody() { text, at }: DataOf<Chat, 'say'>): ReplyOf<Chat, 'say'> {
    // `at` has a default: it is always there.
    return { number: text.length + at.length };
  }

  wrongReply({ text }: DataOf<Chat, 'say'>): ReplyOf<Chat, 'say'> {
    // @ts-expect-error a reply that does not fit
    return { number: text };
  }

  wrongData(data: DataOf<Chat, 'say'>): void {
    // @ts-expect-error a field that the data does not have
    void data.by;
  }

  @SubscribeMessage('count')
  async *count(
    @MessageBody() { to }: DataOf<Chat, 'count'>,
  ): AsyncGenerator<ItemOf<Chat, 'count'>> {
    yield to;
    // @ts-expect-error an item that does not fit
    yield 'two';
  }
}

export async function manager(
  typed: WebSocketManager<Chat>,
  plain: WebSocketManager,
): Promise<void> {
  typed.send('said', { by: 'ada', text: 'tea' });
  typed.send('said', { by: 'ada', text: 'tea' }, { policy: 'latest' });
  typed.send('tick');
  await typed.sendAsync('tick');
  typed.emitCritical('said', { by: 'ada', text: 'tea' });
  const isSure: boolean = await typed.ask('confirm', { text: 'sure?' });
  const age: number = await typed.ask('age', undefined, { timeoutMs: 1_000 });
  // @ts-expect-error an event that the contract does not have
  typed.send('sayd', { by: 'ada', text: 'tea' });
  // @ts-expect-error data that does not fit
  typed.send('said', { by: 'ada' });
  // @ts-expect-error data that is missing
  typed.send('said');
  // @ts-expect-error the type of an answer comes from the contract
  const wrong: string = await typed.ask('confirm', { text: 'sure?' });
  // @ts-expect-error and is not up to the caller
  await typed.ask<string>('confirm', { text: 'sure?' });
  // Without a contract, everything is as it was.
  plain.send('anything', { at: 'all' });
  const answer = await plain.ask<string>('anything');
  const both: WebSocketManager[] = [typed, plain];
  void [isSure, age, wrong, answer, both];
}

export async function emitter(
  typed: WebSocketEmitter<Chat>,
  plain: WebSocketEmitter,
): Promise<void> {
  typed.toUser('ada').send('said', { by: 'bob', text: 'tea' });
  typed.toAll().except({ userId: 'ada' }).send('tick');
  typed.toThread('ada', 'tea').sendCritical('said', { by: 'bob', text: 'tea' });
  const isSure: boolean = await typed.toUser('ada').ask('confirm', { text: 'sure?' });
  typed.toTopic('room:7').except({ userId: 'ada' }).send('said', { by: 'bob', text: 'tea' });
  const room: string = isSure ? 'a' : 'b';
  typed.toTopic(`room:${room}`).send('said', { by: 'bob', text: 'tea' });
  // @ts-expect-error data that does not fit
  typed.toUser('ada').send('said', { by: 1, text: 'tea' });
  // @ts-expect-error an event that members of rooms do not get
  typed.toTopic('room:7').send('tick');
  // @ts-expect-error a topic that the contract does not have
  typed.toTopic('rooms:7');
  plain.toTopic('anything').send('at', 'all');
  plain.toUser('ada').send('anything');
  const answer = await plain.toUser('ada').ask<string>('anything');
  void answer;
}

export async function client(plain: Client): Promise<void> {
  const typed = connect('/chat', { contract: chat });
  typed.send('say', { text: 'tea' });
  typed.send('leave');
  const { number } = await typed.request('say', { text: 'tea' }, { timeoutMs: 1_000 });
  const none: undefined = await typed.request('leave');
  for await (const item of typed.stream('count', { to: 3 })) void item.toFixed();
  // Events of the library itself, whatever the contract names.
  typed.on('exception', (data) => data satisfies unknown);
  typed.on('said', ({ by, text }) => void `${by}${text}`);
  typed.answer('confirm', ({ text }) => text !== '');
  typed.subscribe('room:7', ({ event, data }) => void [event === 'said', data.by]);
  // @ts-expect-error data that does not fit
  typed.send('say', { text: 1 });
  // @ts-expect-error a message that the contract does not have
  typed.send('shout', { text: 'tea' });
  // @ts-expect-error a message that is replied to once
  typed.stream('say', { text: 'tea' });
  // @ts-expect-error an event that the server does not send
  typed.on('shouted', () => undefined);
  // @ts-expect-error an answer that does not fit
  typed.answer('confirm', () => 'yes');
  // @ts-expect-error a topic that the contract does not have
  typed.subscribe('rooms:7', () => undefined);
  plain.send('anything', { at: 'all' });
  const reply = await plain.request<{ at: string }>('anything');
  void [number.toFixed(), none, reply.at];
}

export async function checkedClient(): Promise<void> {
  const typed = connectChecked('/chat', { contract: chat });
  const { number } = await typed.request('say', { text: 'tea' });
  const items: AsyncIterableIterator<number> = typed.stream('count', { to: number });
  typed.presence('room:7', ({ count }) => void count.toFixed());
  // @ts-expect-error a topic that the contract does not have
  typed.presence('rooms:7', () => undefined);
  const either: Client<Chat>[] = [typed, connect('/chat', { contract: chat })];
  // @ts-expect-error there is nothing to check against
  connectChecked('/chat', {});
  void [items, either];
}

export async function testKit(app: TestApplication): Promise<void> {
  const plain: TestClient = await app.connect('/chat');
  plain.send('anything', { at: 'all' }, 'id');
  const anything: string = (await plain.next('anything')).data.text;

  const typed = await app.connect('/chat', { contract: chat });
  typed.send('say', { text: 'tea' }, 1);
  typed.send('subscribe', { topic: 'anything' }, 2);
  const said = (await typed.next('said')).data;
  const text: string = said.text;
  const number: number = (await typed.next('say')).data.number;
  const item: number = (await typed.next('count')).data;
  typed.answer(await typed.next('confirm'), 'anything');
  await typed.subscribe('room:7');
  const code: string = (await typed.next('exception')).data.code;
  // @ts-expect-error data that does not fit
  typed.send('say', { text: 1 });
  // @ts-expect-error a message that the contract does not have
  typed.send('shout', { text: 'tea' });
  // @ts-expect-error an event that the contract does not have
  await typed.next('sayd');
  // @ts-expect-error a field that the data does not have
  void said.at;
  // @ts-expect-error a topic that the contract does not have
  await typed.subscribe('rooms:7');
  const sure = await app.connectAs({ userId: 'ada' }, '/chat', { contract: chat });
  await sure.ask('ping', undefined, 3);

  const page = app.client('/chat', { contract: chat, identity: { userId: 'ada' } });
  const reply: number = (await page.request('say', { text: 'tea' })).number;
  // @ts-expect-error data that does not fit
  page.send('say', { text: 1 });
  app.client('/chat').send('anything');
  void [anything, text, number, item, code, reply];
}
