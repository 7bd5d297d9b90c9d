import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { IsString, ValidateNested } from 'class-validator';
import { Type } from 'class-transformer';
import { UsePipes, ValidationPipe } from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, UserExecutionContext } from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { type IgnoredReason, TrafficCounters } from '../../src/connection/traffic-counters.js';
import { frame, RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { startApp, type TestApp } from '../support/test-app.js';

const MIB = 1_048_576;

class NodeDto {
  @IsString({ each: true })
  names!: string[];

  @Type(() => NodeDto)
  @ValidateNested()
  child?: NodeDto;
}

@IsolatedGateway({ path: '/json' })
class JsonGateway {
  constructor(readonly context: UserExecutionContext) {}

  @SubscribeMessage('echo') echo(@MessageBody() data: unknown): unknown {
    return { event: 'echo', data };
  }

  @SubscribeMessage('keys') keys(@MessageBody() data: object): unknown {
    return { event: 'keys', data: Object.keys(data).length };
  }

  @UsePipes(new ValidationPipe({ transform: true, whitelist: true }))
  @SubscribeMessage('validated')
  validated(@MessageBody() data: NodeDto): unknown {
    return { event: 'validated', data: Object.keys(data) };
  }

  @SubscribeMessage('merge') merge(@MessageBody() data: object): unknown {
    return { event: 'merged', data: { ...data, isAdmin: 'isAdmin' in {} } };
  }
}

let testApp: TestApp;
let client: TestClient;
beforeAll(async () => {
  testApp = await startApp({
    providers: [JsonGateway],
    options: {
      // Handlers run one after another, so replies arrive in order.
      inbound: { maxPayloadBytes: 4 * MIB, maxPendingBytes: 8 * MIB, concurrency: 1 },
    },
  });
  client = await TestClient.open(testApp.url('/json?user=ada&thread=tea'));
});
afterAll(async () => {
  client.terminate();
  await testApp.close();
});

const ignored = (): Record<IgnoredReason, number> =>
  testApp.app.get(TrafficCounters, { strict: false }).ignored;

/** Sends a raw text, and then an echo. After the reply to the echo, the text has been processed. */
async function sendRaw(text: string | Buffer): Promise<unknown[]> {
  client.messages.length = 0;
  client.socket.send(text);
  client.send('echo', 'after');
  await eventually(() => expect(client.messages.at(-1)).toEqual({ event: 'echo', data: 'after' }));
  expect(client.closeCode).toBeUndefined();
  expect('polluted' in {}).toBe(false);
  return client.messages.slice(0, -1);
}

describe('a payload', () => {
  it.each([
    ['200,000 levels deep', `${'['.repeat(200_000)}${']'.repeat(200_000)}`],
    ['200,000 objects deep', `${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`],
  ])('%s is replied to with an error, and affects no other code', async (_name, data) => {
    const answers = await sendRaw(`{"event":"echo","data":${data},"id":1}`);
    expect(answers).toEqual([
      expect.objectContaining({ data: expect.objectContaining({ code: 'INTERNAL_ERROR', id: 1 }) }),
    ]);
  });

  it('too deep for a validator is an error of its message', async () => {
    const deep = `${'{"child":'.repeat(20_000)}{}${'}'.repeat(20_000)}`;
    const answers = await sendRaw(`{"event":"validated","data":${deep}}`);
    expect(answers).toEqual([expect.objectContaining({ event: 'exception' })]);
  });

  it('with 300,000 keys is read', async () => {
    const keys = Array.from({ length: 300_000 }, (_, index) => `"${index}":0`);
    expect(await sendRaw(`{"event":"keys","data":{${keys.join(',')}}}`)).toEqual([
      { event: 'keys', data: 300_000 },
    ]);
  });

  it.each([
    ['__proto__', '{"__proto__":{"polluted":true,"isAdmin":true}}'],
    ['constructor.prototype', '{"constructor":{"prototype":{"polluted":true,"isAdmin":true}}}'],
  ])('with %s pollutes nothing', async (_name, data) => {
    for (const event of ['echo', 'merge', 'validated']) {
      const answers = await sendRaw(`{"event":"${event}","data":${data}}`);
      expect(JSON.stringify(answers)).not.toContain('"isAdmin":true}}]');
      expect('isAdmin' in {}).toBe(false);
    }
  });

  it.each([
    ['duplicate keys', '{"a":1,"a":2}', { a: 2 }],
    ['1e400', '1e400', null],
    ['a lone surrogate', '"\\ud800"', '\ud800'],
    ['NUL', '"\\u0000"', '\0'],
  ])('with %s is read as JSON defines it', async (_name, data, expected) => {
    expect(await sendRaw(`{"event":"echo","data":${data}}`)).toEqual([
      { event: 'echo', data: expected },
    ]);
  });
});

describe('a frame', () => {
  it.each([
    ['a byte order mark', '\uFEFF{"event":"echo"}'],
    ['NUL', '\0'],
    ['nothing', ''],
    ['half an object', '{"event":"echo"'],
    ['a comment', '{"event":"echo"}//'],
    ['null', 'null'],
  ])('with %s is ignored and counted', async (_name, text) => {
    const before = ignored()['not-json'];
    expect(await sendRaw(text)).toEqual([]);
    expect(ignored()['not-json']).toBe(before + 1);
  });

  it.each([
    ['__proto__', '"__proto__"'],
    ['constructor', '"constructor"'],
    ['toString', '"toString"'],
    ['10 KB', JSON.stringify('x'.repeat(10_000))],
    ['a number', '7'],
    ['an object', '{"toString":1}'],
    ['null', 'null'],
    ['true', 'true'],
  ])('whose event is %s is ignored and counted', async (_name, event) => {
    const before = ignored()['unknown-event'];
    expect(await sendRaw(`{"event":${event},"data":1}`)).toEqual([]);
    expect(ignored()['unknown-event']).toBe(before + 1);
  });

  it.each(['1', '"text"', '[]', '[1]', 'true', '{}', '{"__proto__":{"event":"echo"}}'])(
    'that is %s has no event',
    async (text) => {
      const before = ignored()['unknown-event'];
      expect(await sendRaw(text)).toEqual([]);
      expect(ignored()['unknown-event']).toBe(before + 1);
    },
  );

  it('that is binary is read when it holds JSON, and ignored when it does not', async () => {
    const answer = { event: 'echo', data: 1 };
    expect(await sendRaw(Buffer.from(JSON.stringify(answer)))).toEqual([answer]);
    expect(await sendRaw(Buffer.from([0xff, 0x00, 0x01]))).toEqual([]);
  });

  it('gets its id back only if the id is short and plain', async () => {
    for (const id of ['{}', '[]', 'true', 'null', JSON.stringify('x'.repeat(257))]) {
      const [answer] = await sendRaw(
        `{"event":"echo","data":${'['.repeat(9_000)}${']'.repeat(9_000)},"id":${id}}`,
      );
      expect(JSON.stringify(answer)).not.toContain('"id"');
    }
  });
});

describe('a raw socket', () => {
  it('does not pollute Object.prototype', async () => {
    const raw = await RawSocket.open(testApp.port);
    raw.write(upgradeRequest('/json?user=eve&__proto__[polluted]=1'));
    await eventually(() => expect(raw.status).toBe(101));
    raw.write(frame('{"__proto__":{"polluted":1},"event":"echo","data":1}'));
    await eventually(() => expect(raw.received).toContain('"data":1'));
    expect('polluted' in {}).toBe(false);
    raw.destroy();
  });
});
