import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, expectNoLeaks } from 'nestjs-websocket-isolation/testing';
import { WebSocket } from 'ws';

import { startApp, type TestApp } from '../support/test-app.js';

/** The promise is stated for a gibibyte: `STREAM_MIB=1024`. */
const MIB = Number(process.env['STREAM_MIB'] ?? 24);
const ITEM = 'x'.repeat(16_384);
const ITEMS = (MIB * 1_048_576) / ITEM.length;
/** `outbound.streamLowWaterBytes`, and the item that exceeds it, with its frame. */
const BOUND = 65_536 + ITEM.length + 100;
/** How often the reader stops. */
const STOPS = 8;
const READERS = 20;

let pulled = 0;
let mostOwed = 0;
let finished = 0;

@IsolatedGateway({ path: '/stream' })
class StreamGateway {
  @SubscribeMessage('flow')
  async *flow(@MessageBody() items: number, @CurrentManager() manager: WebSocketManager) {
    try {
      for (let index = 0; index < items; index += 1) {
        pulled += 1;
        yield { event: 'item', data: ITEM };
        mostOwed = Math.max(mostOwed, manager.bufferedBytes);
      }
    } finally {
      finished += 1;
    }
  }
}

/** A client that counts frames, and keeps none. */
class Reader {
  items = 0;
  isComplete = false;
  closeCode: number | undefined;
  readonly #socket: WebSocket;

  /** @param reads how many items it reads before it stops by itself */
  constructor(url: string, items: number, reads = Infinity) {
    this.#socket = new WebSocket(url);
    this.#socket.on('open', () => {
      this.#socket.send(JSON.stringify({ event: 'flow', data: items, id: 1 }));
    });
    this.#socket.on('message', (frame: Buffer) => {
      if (frame.length > ITEM.length) this.items += 1;
      if (this.items === reads) this.stop();
      if (frame.length < ITEM.length) this.isComplete = frame.toString().includes('"complete"');
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', (code) => (this.closeCode = code));
  }

  stop(): void {
    this.#socket.pause();
  }

  goOn(): void {
    this.#socket.resume();
  }

  leave(): void {
    this.#socket.terminate();
  }
}

let testApp: TestApp;
beforeEach(async () => {
  [pulled, mostOwed, finished] = [0, 0, 0];
  testApp = await startApp({ providers: [StreamGateway] });
});
afterEach(() => testApp.close());

/** Resolves when the source is pulled no longer, because its reader has stopped. */
async function stalled(): Promise<void> {
  let before = -1;
  await eventually(() => {
    const isStill = pulled === before;
    before = pulled;
    expect(isStill).toBe(true);
  });
}

describe('a long stream', () => {
  it(`of ${MIB} MiB to a reader that stops and resumes holds no more than its bound`, async () => {
    const reader = new Reader(testApp.url('/stream?user=ada'), ITEMS);
    for (let stop = 1; stop <= STOPS; stop += 1) {
      await eventually(() => expect(reader.items).toBeGreaterThan((ITEMS / STOPS) * (stop - 0.9)));
      reader.stop();
      await stalled();
      reader.goOn();
    }
    await eventually(() => expect(reader.isComplete).toBe(true));
    expect([reader.items, pulled, finished, reader.closeCode]).toEqual([
      ITEMS,
      ITEMS,
      1,
      undefined,
    ]);
    expect(mostOwed).toBeGreaterThan(0);
    expect(mostOwed).toBeLessThanOrEqual(BOUND);
    reader.leave();
    await expectNoLeaks(testApp.app);
  });

  it('whose reader stops and leaves ends its source once, and leaves nothing', async () => {
    const reader = new Reader(testApp.url('/stream?user=ada'), ITEMS);
    await eventually(() => expect(reader.items).toBeGreaterThan(10));
    reader.stop();
    await stalled();
    reader.leave();
    await eventually(() => expect(finished).toBe(1));
    expect(pulled).toBeLessThan(ITEMS);
    expect(mostOwed).toBeLessThanOrEqual(BOUND);
    await expectNoLeaks(testApp.app);
    expect(finished).toBe(1);
  });

  it(`to each of ${READERS} readers that have stopped takes its bound for each`, async () => {
    const url = (index: number): string => testApp.url(`/stream?user=user-${index}`);
    const readers = Array.from({ length: READERS }, (_, index) => new Reader(url(index), ITEMS, 1));
    await eventually(() => expect(readers.filter(({ items }) => items === 0)).toEqual([]));
    await stalled();
    const factory = testApp.app.get(WebSocketManagerFactory);
    const waiting = readers.map((_, index) => factory.managersOf(`user-${index}`)[0]!.waitingBytes);
    // With the overhead of the waiting frames, of which there are few.
    expect(Math.max(...waiting)).toBeLessThanOrEqual(BOUND + 8_192);
    expect(factory.getStats().currentState.openStreams).toBe(READERS);
    for (const reader of readers) reader.leave();
    await eventually(() => expect(finished).toBe(READERS));
    await expectNoLeaks(testApp.app);
  });
});
