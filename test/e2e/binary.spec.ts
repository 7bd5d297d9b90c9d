import { afterEach, describe, expect, it } from '@jest/globals';
import { type PipeTransform, UseGuards, UsePipes } from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentContext,
  IsolatedGateway,
  SubscribeBinary,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

class Reversed implements PipeTransform {
  transform(bytes: unknown): unknown {
    return Buffer.isBuffer(bytes) ? Buffer.from(bytes.toReversed()) : bytes;
  }
}
const guard = { canActivate: (): boolean => isOpen };
let isOpen = true;

@IsolatedGateway({ path: '/bytes' })
class BytesGateway {
  @SubscribeBinary()
  async bytes(@MessageBody() bytes: Buffer, @CurrentContext() context: UserExecutionContext) {
    const { userId } = UserExecutionContext.current();
    return { event: 'got', data: [bytes.toString(), userId, context.userId] };
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown) {
    return { event: 'echo', data };
  }
}

@IsolatedGateway({ path: '/reversed' })
class ReversedGateway {
  @UseGuards(guard)
  @UsePipes(Reversed)
  @SubscribeBinary()
  bytes(@MessageBody() bytes: Buffer): Buffer {
    if (bytes.length === 0) throw new Error('empty');
    return bytes;
  }
}

@IsolatedGateway({ path: '/plain' })
class PlainGateway {
  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown) {
    return { event: 'echo', data };
  }
}

let testApp: TestApp;
afterEach(() => testApp.close());

async function start(path: string, options: object = {}): Promise<TestClient> {
  isOpen = true;
  const providers = [BytesGateway, ReversedGateway, PlainGateway];
  testApp = await startApp({ providers, options });
  return testApp.connect(`${path}?user=ada`);
}
const manager = (): WebSocketManager =>
  testApp.app.get(WebSocketManagerFactory).managersOf('ada')[0]!;

/** Collects the binary frames that a client gets. */
function binaryFrames({ socket }: TestClient): Buffer[] {
  const frames: Buffer[] = [];
  socket.on('message', (frame: Buffer, isBinary: boolean) => {
    if (isBinary) frames.push(frame);
  });
  return frames;
}

describe('a binary frame of a client', () => {
  it('reaches the method with @SubscribeBinary(), in the context of its connection', async () => {
    const client = await start('/bytes');
    client.socket.send(Buffer.from('{"event":"echo"}'));
    expect((await client.next('got')).data).toEqual(['{"event":"echo"}', 'ada', 'ada']);
    expect((await client.ask('echo', 1)).data).toBe(1);
  });

  it('passes guards and pipes, and bytes that are returned go out as they are', async () => {
    const client = await start('/reversed');
    const frames = binaryFrames(client);
    client.socket.send(Buffer.from('abc'));
    await eventually(() => expect(frames.map(String)).toEqual(['cba']));
    client.socket.send(Buffer.alloc(0));
    expect((await client.next('exception')).data.code).toBe('INTERNAL_ERROR');
    isOpen = false;
    client.socket.send(Buffer.from('abc'));
    expect((await client.next('exception')).data.code).toBe('FORBIDDEN');
  });

  it('is a message, as in any Nest gateway, where no method takes binary frames', async () => {
    const client = await start('/plain');
    client.socket.send(Buffer.from('{"event":"echo","data":1}'));
    expect((await client.next('echo')).data).toBe(1);
  });

  it('counts towards the rate and the largest message', async () => {
    const client = await start('/bytes', {
      inbound: { rate: { messages: 2, perMs: 60_000 }, maxPayloadBytes: 100 },
    });
    for (let index = 0; index < 3; index += 1) client.socket.send(Buffer.from('a'));
    expect(await client.closed()).toBe(4430);
    const other = await testApp.connect('/bytes?user=bob');
    other.socket.send(Buffer.alloc(101));
    expect(await other.closed()).toBe(1009);
  });
});

describe('sendBinary', () => {
  it('sends bytes of every length, and copies them', async () => {
    const client = await start('/plain');
    const frames = binaryFrames(client);
    const lengths = [0, 1, 125, 126, 65_535, 65_536];
    for (const length of lengths) {
      const bytes = new Uint8Array(length).fill(7);
      expect(manager().sendBinary(bytes)).toMatch(/^(sent|queued)$/);
      bytes.fill(0);
    }
    manager().sendBinary(new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
    manager().sendBinary(new Uint8Array([5]).buffer);
    await eventually(() => expect(frames).toHaveLength(8));
    expect(frames.map(({ length }) => length)).toEqual([...lengths, 2, 1]);
    expect(frames.every((frame, index) => index >= 6 || frame.every((byte) => byte === 7))).toBe(
      true,
    );
    expect([...frames[6]!, ...frames[7]!]).toEqual([2, 3, 5]);
    expect(manager().getStats().metrics.messagesSentTotal).toBe(8);
  });

  it('holds the bounds of messages, takes policies, and refuses what is no bytes', async () => {
    const client = await start('/plain');
    const open = manager();
    expect(() => open.sendBinary('text' as never)).toThrow(TypeError);
    client.freeze();
    const chunk = Buffer.alloc(65_536);
    while (open.bufferedBytes <= 65_536) open.sendBinary(chunk);
    expect(open.sendBinary(chunk, { policy: 'drop' })).toEqual({ dropped: 'policy' });
    expect(open.sendBinary(chunk, { policy: 'latest' })).toBe('queued');
    expect(open.sendBinary(chunk, { policy: 'latest' })).toBe('replaced');
    let result: unknown = 'queued';
    for (let index = 0; index < 100 && result === 'queued'; index += 1) {
      result = open.sendBinary(chunk);
    }
    expect(result).toEqual({ dropped: 'slow-consumer' });
    expect(open.sendBinary(chunk)).toEqual({ dropped: 'closed' });
  });

  it('reaches every audience of the emitter, is no event of a history, and takes policies', async () => {
    const client = await start('/plain', { resume: {}, topics: { history: {} } });
    const other = await testApp.connect('/plain?user=bob');
    const [ada, bob] = [binaryFrames(client), binaryFrames(other)];
    const open = manager();
    await open.join('room:7');
    const { threadId, connectionId } = open.context;
    const emitter = testApp.app.get(WebSocketEmitter);
    const audiences = [
      emitter.toUser('ada'),
      emitter.toThread('ada', threadId),
      emitter.toConnection(connectionId),
      emitter.toTopic('room:7'),
      emitter.toAll(),
      emitter.toAll().except({ userId: 'bob' }),
    ];
    audiences.forEach((audience, index) => {
      const bytes = new Uint8Array([index]);
      const count = index === 4 ? 2 : 1;
      expect(audience.sendBinary(bytes)).toEqual({ sent: count, queued: 0, dropped: 0 });
      bytes.fill(99);
    });
    await eventually(() => expect(ada.map(([byte]) => byte)).toEqual([0, 1, 2, 3, 4, 5]));
    await eventually(() => expect(bob.map(([byte]) => byte)).toEqual([4]));
    expect(emitter.toUser('eve').sendBinary(new ArrayBuffer(3))).toEqual({
      sent: 0,
      queued: 0,
      dropped: 0,
    });
    expect(() => emitter.toUser('ada').sendBinary('text' as never)).toThrow(TypeError);

    const thaw = client.freeze();
    const chunk = Buffer.alloc(65_536, 1);
    while (open.bufferedBytes <= 65_536) emitter.toUser('ada').sendBinary(chunk);
    const toAda = emitter.toUser('ada');
    const none = { sent: 0, queued: 0, dropped: 0 };
    expect(toAda.sendBinary(chunk, { policy: 'drop' })).toEqual({ ...none, dropped: 1 });
    expect(toAda.sendBinary(Buffer.from('a'), { policy: 'latest' })).toMatchObject({ queued: 1 });
    expect(toAda.sendBinary(Buffer.from('b'), { policy: 'latest' })).toMatchObject({ replaced: 1 });
    expect(open.latestWaiting).toBe(1);
    thaw();
    await eventually(() => expect(ada.at(-1)).toEqual(Buffer.from('b')));
  });
});
