import assert from 'node:assert/strict';
import { after, afterEach, before, it } from 'node:test';

import { WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import type { ClientError } from 'nestjs-websocket-isolation/client';
import {
  eventually,
  expectNoLeaks,
  startTestApplication,
  type TestApplication,
} from 'nestjs-websocket-isolation/testing';

import { AppModule } from './app.module.js';
import { agent, chat, live } from './contracts.js';

let app: TestApplication;
const closing: { close(): void }[] = [];

before(async () => {
  app = await startTestApplication(AppModule);
});
afterEach(async () => {
  for (const client of closing.splice(0)) client.close();
  await expectNoLeaks(app.app);
});
after(() => app.close());

function enter<const C extends typeof chat | typeof agent | typeof live>(
  contract: C,
  path: string,
  token: string,
) {
  const client = app.client(path, { contract, token: () => token });
  closing.push(client);
  return client;
}

const post = (path: string) =>
  fetch(`http://127.0.0.1:${app.port}/gauges/${path}`, { method: 'POST' });

function codeOf(code: string) {
  return (error: unknown) => (error as ClientError).code === code;
}

it('chat: what is said in a room reaches its members, with who is there', async () => {
  const [ada, bob] = [enter(chat, '/chat', 'ada'), enter(chat, '/chat', 'bob')];
  const heard: string[] = [];
  const counts: number[] = [];
  bob.subscribe('room:tea', ({ event, data }) => heard.push(`${event} ${data.by}: ${data.text}`));
  bob.presence('room:tea', ({ count }) => counts.push(count));
  await new Promise<void>((resolve) => {
    ada.subscribe('room:tea', () => undefined, { onSubscribed: resolve });
  });
  assert.deepEqual(await ada.request('say', { room: 'tea', text: ' hello ' }), { number: 1 });
  await eventually(() => assert.deepEqual(heard, ['said ada: hello']));
  assert.deepEqual(await ada.request('who', { room: 'tea' }), ['ada', 'bob']);
  await eventually(() => assert.equal(counts.at(-1), 2));
});

it('chat: refuses what does not fit, and rooms of others', async () => {
  const bob = enter(chat, '/chat', 'bob');
  await assert.rejects(bob.request('say', { room: 'tea', text: 'x' }), codeOf('WS_EXCEPTION'));
  await assert.rejects(bob.request('say', { room: 'tea', text: ' ' }), codeOf('INVALID_PAYLOAD'));
  const error = await new Promise<ClientError>((onEnd) => {
    bob.subscribe('room:staff', () => undefined, { onEnd });
  });
  assert.deepEqual([error.code, error.topic], ['TOPIC_FORBIDDEN', 'room:staff']);
  // A client that checks nothing is checked by the server.
  const raw = await app.connect('/chat', {
    protocols: ['bearer', 'bob'],
    contract: chat,
  });
  raw.send('say', { room: 'tea', text: 5 as never }, 1);
  assert.equal((await raw.next('exception')).data.code, 'INVALID_PAYLOAD');
  await raw.close();
});

it('chat: a client whose connection is cut gets what it has missed', async () => {
  const [ada, bob] = [enter(chat, '/chat', 'ada'), enter(chat, '/chat', 'bob')];
  const heard: string[] = [];
  await new Promise<void>((resolve) => {
    bob.subscribe('room:cake', ({ data }) => heard.push(data.text), { onSubscribed: resolve });
  });
  await new Promise<void>((resolve) => {
    ada.subscribe('room:cake', () => undefined, { onSubscribed: resolve });
  });
  await ada.request('say', { room: 'cake', text: 'one' });
  await eventually(() => assert.deepEqual(heard, ['one']));
  const states: string[] = [];
  bob.onState(({ state }) => states.push(state));
  const [manager] = app.app.get(WebSocketManagerFactory).managersOf('bob');
  void manager?.close(1001);
  await eventually(() => assert.ok(states.includes('waiting')));
  await ada.request('say', { room: 'cake', text: 'two' });
  await eventually(() => assert.deepEqual(heard, ['one', 'two']));
  assert.equal(states.at(-1), 'open');
});

it('agent: streams its words after the user has allowed the tool', async () => {
  const client = enter(agent, '/agent', 'ada');
  client.answer('approve', ({ tool }) => tool === 'turn-around');
  const words: string[] = [];
  for await (const { word } of client.stream('prompt', { text: 'tea or cake' })) words.push(word);
  assert.deepEqual(words, ['cake', 'or', 'tea']);
  assert.deepEqual(await client.request('usage'), { words: 3, open: 0 });
});

it('agent: stops when the loop is left, and while the user is still asked', async () => {
  const client = enter(agent, '/agent', 'ada');
  const off = client.answer('approve', () => true);
  for await (const { word } of client.stream('prompt', { text: 'a b c d e f' })) {
    if (word === 'e') break;
  }
  await eventually(async () => assert.equal((await client.request('usage')).open, 0));
  off();
  client.onError(() => undefined);
  const stop = new AbortController();
  const stream = client.stream('prompt', { text: 'x' }, { signal: stop.signal });
  const first = stream.next();
  await eventually(async () => assert.equal((await client.request('usage')).open, 1));
  stop.abort(new Error('stopped'));
  await assert.rejects(first, /stopped/);
  await eventually(async () => assert.equal((await client.request('usage')).open, 0));
});

it('live: samples reach those who watch the gauge, and all hear of maintenance', async () => {
  const [ada, bob] = [enter(live, '/live', 'ada'), enter(live, '/live', 'bob')];
  const seen: unknown[] = [];
  await new Promise<void>((resolve) => {
    ada.subscribe('gauge:load', ({ data }) => seen.push(data.value), { onSubscribed: resolve });
  });
  const dates: Date[] = [];
  bob.on('maintenance', ({ at }) => dates.push(at));
  await new Promise<void>((resolve) => {
    bob.subscribe('gauge:memory', () => seen.push('wrong'), { onSubscribed: resolve });
  });
  await post('load/0.5');
  await post('maintenance');
  await eventually(() => assert.deepEqual(dates, [new Date('2030-01-01')]));
  assert.deepEqual(seen, [0.5]);
});

it('describes itself', async () => {
  const document = await fetch(`http://127.0.0.1:${app.port}/asyncapi/asyncapi.json`);
  const { channels } = (await document.json()) as { channels: object };
  assert.equal(Object.keys(channels).length, 5);
});
