import { deflateRawSync } from 'node:zlib';

import { afterEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  IsolatedWsAdapter,
  type IsolatedWsAdapterOptions,
  LeakDetector,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import { WebSocket } from 'ws';

import { closeFrames, frame, RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { startApp, type TestApp } from '../support/test-app.js';

let handled = 0;
const codes: number[] = [];

@IsolatedGateway({ path: '/frames' })
class FramesGateway {
  constructor(readonly context: UserExecutionContext) {}

  handleDisconnect(_client: unknown, code: number): void {
    codes.push(code);
  }

  @SubscribeMessage('echo') echo(@MessageBody() data: unknown): unknown {
    handled += 1;
    return { event: 'echo', data };
  }
}

let testApp: TestApp;
const raws: RawSocket[] = [];
afterEach(async () => {
  for (const raw of raws.splice(0)) raw.destroy();
  await testApp.close();
  handled = 0;
  codes.length = 0;
});

async function start(
  options: WebSocketIsolationOptions = {},
  adapter?: IsolatedWsAdapterOptions,
): Promise<void> {
  testApp = await startApp({
    providers: [FramesGateway],
    options,
    prepare: (app) => {
      if (adapter) app.useWebSocketAdapter(new IsolatedWsAdapter(app, adapter));
    },
  });
}

async function openRaw(headers: Record<string, string> = {}): Promise<RawSocket> {
  const raw = await RawSocket.open(testApp.port);
  raws.push(raw);
  raw.write(upgradeRequest('/frames?user=raw', headers));
  await eventually(() => expect(raw.status).toBe(101));
  return raw;
}

const ledger = (): { active: number } => testApp.app.get(LeakDetector).getReport().ledger;
const echo = '{"event":"echo","data":1}';

/** Checks that the connection closes with the code within the close timeout, and that other clients are served. */
async function expectClosedAlone(raw: RawSocket, code: number): Promise<void> {
  await eventually(() => expect(closeFrames(raw.bytes)).toEqual([code]));
  await eventually(() => expect(raw.isClosed).toBe(true));
  await eventually(() => expect(ledger().active).toBe(0));
  expect(codes).toEqual([code]);
  const other = await TestClient.open(testApp.url('/frames?user=other'));
  expect(await other.ask('echo', 1)).toEqual({ event: 'echo', data: 1 });
  other.terminate();
}

describe('frames that break the protocol', () => {
  const text = Buffer.from(echo);
  const faults: [name: string, bytes: Buffer, code: number][] = [
    ['an unknown opcode', frame(text, { opcode: 3 }), 1002],
    ['an unknown control opcode', frame('', { opcode: 11 }), 1002],
    ['RSV1 without compression', frame(text, { rsv: 0x40 }), 1002],
    ['RSV2', frame(text, { rsv: 0x20 }), 1002],
    ['RSV3', frame(text, { rsv: 0x10 }), 1002],
    ['an unmasked frame', frame(text, { masked: false }), 1002],
    ['a continuation of nothing', frame(text, { opcode: 0 }), 1002],
    ['a text inside a text', Buffer.concat([frame('a', { fin: false }), frame('b')]), 1002],
    ['a ping in pieces', frame('a', { opcode: 9, fin: false }), 1002],
    ['a ping of 126 bytes', frame(Buffer.alloc(126), { opcode: 9 }), 1002],
    ['a close code of one byte', frame('a', { opcode: 8 }), 1002],
    ['the close code 1005', frame(Buffer.from([3, 0xed]), { opcode: 8 }), 1002],
    ['the close code 999', frame(Buffer.from([3, 0xe7]), { opcode: 8 }), 1002],
    ['a reason that is not UTF-8', frame(Buffer.from([3, 0xe8, 0xff]), { opcode: 8 }), 1007],
    ['a text that is not UTF-8', frame(Buffer.from([0xff, 0xfe, 0x80])), 1007],
    ['a text with a lone surrogate', frame(Buffer.from([0xed, 0xa0, 0x80])), 1007],
    ['65,537 bytes', frame(Buffer.alloc(65_537, 32)), 1009],
    ['a header that claims 100 MiB', frame('', { claimedLength: 104_857_600 }), 1009],
    ['a header that claims 2^53 bytes', frame('', { claimedLength: 2 ** 53 }), 1009],
    [
      'pieces of 65,537 bytes together',
      Buffer.concat([
        frame(Buffer.alloc(65_000, 32), { fin: false }),
        frame(Buffer.alloc(537, 32), { opcode: 0 }),
      ]),
      1009,
    ],
    ['20,000 pieces of one byte', pieces(20_000, ' '), 1008],
    ['3,000 empty pieces', pieces(3_000, ''), 1008],
  ];

  it.each(faults)('%s', async (_name, bytes, code) => {
    await start({ cleanup: { closeTimeoutMs: 50 } });
    const raw = await openRaw();
    raw.write(bytes);
    await expectClosedAlone(raw, code);
    expect(handled).toBe(1);
  });
});

function pieces(count: number, payload: string): Buffer {
  const rest = Array.from({ length: count - 1 }, () => frame(payload, { opcode: 0, fin: false }));
  return Buffer.concat([frame(payload, { fin: false }), ...rest]);
}

describe('valid frames', () => {
  it('may be fragmented, with pings in between, and of any length up to the bound', async () => {
    await start();
    const raw = await openRaw();
    const largest = `{"event":"echo","data":1${' '.repeat(65_536 - 25)}}`;
    expect(largest).toHaveLength(65_536);
    raw.write(frame(echo.slice(0, 10), { fin: false }));
    raw.write(frame('', { opcode: 9 }));
    raw.write(frame(echo.slice(10), { opcode: 0 }));
    raw.write(frame(largest));
    // 1,000 fragments in 1,000 separate chunks: below the bound.
    for (let index = 0; index < 1_000; index += 1) {
      raw.write(frame(' ', { fin: false, opcode: index === 0 ? 1 : 0 }));
    }
    raw.write(frame(echo, { opcode: 0 }));
    await eventually(() => expect(handled).toBe(3));
    expect(closeFrames(raw.bytes)).toEqual([]);
  });

  it('scale with a larger bound of the app', async () => {
    await start({ inbound: { maxPayloadBytes: 1_048_576 } });
    const raw = await openRaw();
    raw.write(pieces(16_000, ' '));
    raw.write(frame(echo, { opcode: 0 }));
    await eventually(() => expect(handled).toBe(1));
  });

  it('are bounded by the maxPayload of the app’s adapter', async () => {
    await start({}, { maxPayload: 100 });
    const raw = await openRaw();
    raw.write(frame(Buffer.alloc(101, 32)));
    await eventually(() => expect(closeFrames(raw.bytes)).toEqual([1009]));
  });
});

describe('compression', () => {
  const offer = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };

  it('is not negotiated by default', async () => {
    await start();
    const raw = await openRaw(offer);
    expect(raw.received.toLowerCase()).not.toContain('sec-websocket-extensions');
  });

  it('is bounded after inflation if the app has enabled it', async () => {
    await start({ cleanup: { closeTimeoutMs: 50 } }, { perMessageDeflate: true });
    const raw = await openRaw(offer);
    expect(raw.received.toLowerCase()).toContain('sec-websocket-extensions: permessage-deflate');
    raw.write(frame(deflated(echo), { rsv: 0x40 }));
    await eventually(() => expect(handled).toBe(1));
    handled = 0;
    // 64 KiB that inflate to 64 MiB.
    const bomb = deflated(' '.repeat(64 * 1_048_576));
    expect(bomb.length).toBeLessThan(65_536);
    const before = process.memoryUsage().rss;
    raw.write(frame(bomb, { rsv: 0x40 }));
    await expectClosedAlone(raw, 1009);
    expect(process.memoryUsage().rss - before).toBeLessThan(48 * 1_048_576);
  });

  it('that is broken ends only its own connection', async () => {
    await start({ cleanup: { closeTimeoutMs: 50 } }, { perMessageDeflate: true });
    const raw = await openRaw(offer);
    raw.write(frame('this was never deflated', { rsv: 0x40 }));
    await expectClosedAlone(raw, 1007);
    expect(handled).toBe(1);
  });
});

function deflated(text: string): Buffer {
  // The last four bytes of a flushed block are removed (RFC 7692, section 7.2.1).
  return deflateRawSync(text, { finishFlush: 2 }).subarray(0, -4);
}

describe('a peer', () => {
  it('that sends data after its close frame gets all data in flight, and the close frame', async () => {
    await start();
    const raw = await openRaw();
    raw.socket.pause();
    const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf('raw');
    const text = 'x'.repeat(900_000);
    manager!.send('long', text);
    raw.write(frame(Buffer.from([0x03, 0xe8]), { opcode: 0x8 }));
    // The peer has not read the close frame yet, and sends a pong.
    await eventually(() => expect(manager!.socket?.readyState).not.toBe(WebSocket.OPEN));
    raw.write(frame('', { opcode: 0xa }));
    raw.socket.resume();
    await eventually(() => expect(closeFrames(raw.bytes)).toEqual([1000]));
    expect(raw.received).toContain(text);
    await eventually(() => expect(ledger().active).toBe(0));
  });

  it('that sends a close frame and never ends the connection is cut within the deadline', async () => {
    await start({ cleanup: { closeTimeoutMs: 80 } });
    const raw = await openRaw();
    // From now on the peer does not notice that the server ends the connection.
    raw.socket.pause();
    raw.write(frame(Buffer.from([0x03, 0xe8]), { opcode: 0x8 }));
    await eventually(() => expect(ledger().active).toBe(0));
    expect(codes).toEqual([1000]);
    raw.socket.resume();
    await eventually(() => expect(closeFrames(raw.bytes)).toEqual([1000]));
  });

  it('that never replies to the close frame is cut within the deadline', async () => {
    await start({ cleanup: { closeTimeoutMs: 80 } });
    const raw = await openRaw();
    const closing = testApp.app.get(WebSocketManagerFactory).disconnectUser('raw');
    await eventually(() => expect(closeFrames(raw.bytes)).toEqual([4401]));
    expect(await closing).toBe(1);
    await eventually(() => expect(raw.isClosed).toBe(true));
  });

  it.each([
    ['a text that is too long', 'é'.repeat(100), 'é'.repeat(61)],
    ['bytes instead of a text', new Uint8Array([1, 2, 3]) as never, '1,2,3'],
    ['nothing', undefined as never, 'disconnected'],
  ])('gets %s as a reason that fits', async (_name, reason: string, expected) => {
    await start();
    const client = await TestClient.open(testApp.url('/frames?user=ada'));
    await testApp.app.get(WebSocketManagerFactory).disconnectUser('ada', { reason });
    expect(await client.closed()).toBe(4401);
    expect(client.closeReason).toBe(expected);
  });

  it('that floods with pings is served, and so are others', async () => {
    await start();
    const raw = await openRaw();
    const other = await TestClient.open(testApp.url('/frames?user=other'));
    raw.write(Buffer.concat(Array.from({ length: 20_000 }, () => frame('', { opcode: 9 }))));
    expect(await other.ask('echo', 1)).toEqual({ event: 'echo', data: 1 });
    expect(other.socket.readyState).toBe(WebSocket.OPEN);
  });
});
