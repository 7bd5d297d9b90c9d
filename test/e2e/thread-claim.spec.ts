import { afterEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, UserExecutionContext } from 'nestjs-websocket-isolation';

import { createId } from '../../src/context/ids.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  constructor(readonly context: UserExecutionContext) {}

  @SubscribeMessage('own') own(): unknown {
    return { event: 'own', data: this.context.threadId };
  }

  @SubscribeMessage('say') say(@MessageBody() data: object): unknown {
    return { event: 'said', data };
  }
}

let testApp: TestApp;
afterEach(() => testApp.close());

/** What becomes of a message on a connection whose identity names this thread, or none. */
async function say(thread: string | undefined, data: object): Promise<unknown> {
  testApp = await startApp({ providers: [ChatGateway] });
  const query = thread === undefined ? '' : `&thread=${encodeURIComponent(thread)}`;
  const client = await testApp.connect(`/chat?user=ada${query}`);
  client.send('own');
  const own = (await client.next('own')) as { data: string };
  // `OWN` stands for the connection's own thread, which is not known before.
  client.send('say', JSON.parse(JSON.stringify(data).replace('OWN', own.data)));
  const answer = (await client.next()) as { event: string; data: { code?: string } };
  return answer.event === 'said' ? 'handled' : answer.data.code;
}

describe('A message that names a thread', () => {
  it.each([
    ['its own', 'tea', { threadId: 'tea' }],
    ['its own in snake case', 'tea', { thread_id: 'tea' }],
    ['its own, twice', 'tea', { threadId: 'tea', thread_id: 'tea' }],
    ['its own as a number', '42', { threadId: 42 }],
    ['none', 'tea', { threadId: null }],
    ['its own, which the library has made', undefined, { threadId: 'OWN' }],
    ['one of a forum, on a connection whose identity names none', undefined, { threadId: 'tea' }],
    ['the number of a forum’s thread, likewise', undefined, { threadId: 42 }],
    ['an object of the app, likewise', undefined, { thread_id: { is: 'mine' } }],
    ['one that only begins like a made one', undefined, { threadId: 'thread_1' }],
  ])('is handled: %s', async (_name, thread, data) => {
    expect(await say(thread, data)).toBe('handled');
  });

  it.each([
    ['another', 'tea', { threadId: 'coffee' }],
    ['another in snake case, beside its own', 'tea', { threadId: 'tea', thread_id: 'coffee' }],
    ['another, beside its own in snake case', 'tea', { threadId: 'coffee', thread_id: 'tea' }],
    ['another number', '42', { threadId: 43 }],
    ['a number of which JSON may have lost the end', String(2 ** 53), { threadId: 2 ** 53 }],
    ['an object', 'tea', { threadId: {} }],
    ['what an object is called', 'object', { threadId: {} }],
    ['true', 'boolean', { threadId: true }],
    ['one that is longer than an id can be', 'x'.repeat(256), { threadId: 'x'.repeat(300) }],
    [
      'one that the library has made for another connection, though the identity names none',
      undefined,
      { threadId: createId('thread') },
    ],
    ['such a one beside its own', undefined, { threadId: 'OWN', thread_id: createId('thread') }],
  ])('is refused: %s', async (_name, thread, data) => {
    expect(await say(thread, data)).toBe('THREAD_MISMATCH');
  });
});
