import { frame, type FrameParts, upgradeRequest } from './raw-socket.js';

/** A generator of pseudo-random numbers (mulberry32). The same seed gives the same numbers. */
export class Random {
  constructor(private seed: number) {}

  /** Returns a number in [0, 1). */
  next(): number {
    this.seed = (this.seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  bytes(most: number): Buffer {
    return Buffer.from(Array.from({ length: this.below(most) }, () => this.below(256)));
  }
}

const WORDS = ['', ' ', 'null', 'ws', 'a,b;c="', '\t', '日本', '%00', '../..', '{}', '0', '-1'];
const TARGETS = [
  '/app',
  '/app?user=barrage',
  '/app/',
  '//app',
  '/APP',
  '/%61pp',
  '*',
  '?',
  '/app?user=',
];
const LINES = ['GET', 'POST', 'HEAD', 'OPTIONS', 'get', 'G\u0000T', ''];
const HEADERS = [
  'Host',
  'Upgrade',
  'Connection',
  'Sec-WebSocket-Version',
  'Sec-WebSocket-Key',
  'Sec-WebSocket-Protocol',
  'Sec-WebSocket-Extensions',
  'Origin',
  'Cookie',
  'Content-Length',
  'Transfer-Encoding',
  'Expect',
];

/** Returns the bytes of a malformed upgrade request. */
export function malformedUpgrade(random: Random): Buffer {
  const headers: Record<string, string | string[] | undefined> = {};
  for (let faults = 1 + random.below(3); faults > 0; faults -= 1) {
    headers[random.pick(HEADERS)] = random.pick<string | string[] | undefined>([
      undefined,
      random.pick(WORDS),
      random.pick(WORDS).repeat(random.below(2_000)),
      [random.pick(WORDS), random.pick(WORDS)],
      random
        .bytes(64)
        .toString('latin1')
        .replaceAll(/[\r\n]/g, ' '),
    ]);
  }
  const target = random.pick(TARGETS) + '/'.repeat(random.chance(0.05) ? random.below(8_000) : 0);
  const line = `${random.pick(LINES)} ${target} HTTP/${random.pick(['1.1', '1.0', '2.0', '9'])}`;
  const bytes = Buffer.from(upgradeRequest(target, headers, line), 'latin1');
  if (random.chance(0.2)) bytes[random.below(bytes.length)] = random.below(256);
  return random.chance(0.2) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

/** Returns the bytes of frames, most of them malformed, for a client to send after its upgrade. */
export function malformedFrames(random: Random): Buffer {
  const count = 1 + random.below(6);
  return Buffer.concat(
    Array.from({ length: count }, () => {
      if (random.chance(0.2)) return random.bytes(300);
      const parts: FrameParts = {
        opcode: random.below(16),
        fin: random.chance(0.8),
        rsv: random.chance(0.2) ? random.pick([0x10, 0x20, 0x40, 0x70]) : 0,
        masked: random.chance(0.9),
        ...(random.chance(0.2) && {
          claimedLength: random.pick([0, 126, 65_535, 65_537, 2 ** 40]),
        }),
      };
      return frame(random.chance(0.5) ? malformedMessage(random) : random.bytes(200), parts);
    }),
  );
}

/** Returns a message that the protocol allows and no handler expects. */
export function malformedMessage(random: Random): string {
  const depth = random.below(5_000);
  return random.pick([
    () => random.pick(WORDS),
    () => `${'['.repeat(depth)}${']'.repeat(depth)}`,
    () => `{"event":"echo","data":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`,
    () => `{"event":"echo","data":${'['.repeat(depth)}}`,
    () => '{"event":"echo","data":{"__proto__":{"polluted":true}}}',
    () => '{"__proto__":{"polluted":true},"event":"echo"}',
    () => '{"event":"echo","data":{"constructor":{"prototype":{"polluted":true}}}}',
    () => `{"event":${JSON.stringify(random.pick(EVENTS))},"data":1}`,
    () => `{"event":"fail","data":${random.pick(VALUES)},"id":${random.pick(VALUES)}}`,
    () => `{"event":"echo","data":${random.pick(VALUES)},"id":${random.pick(VALUES)}}`,
    () => `{"event":${random.pick(VALUES)},"data":${random.pick(VALUES)}}`,
    () => `{"event":"echo","event":"echo","data":1,"data":{"threadId":"another"}}`,
    () => JSON.stringify(random.bytes(500).toString('latin1')),
    () => `\uFEFF{"event":"echo"}`,
  ])();
}

const EVENTS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'x'.repeat(10_000)];
const VALUES = [
  'null',
  '1e400',
  '-0',
  '""',
  '[]',
  '{}',
  'true',
  '{"toString":1}',
  '{"getStatus":1,"message":{}}',
  '{"then":1}',
  '"\\ud800"',
  '"\\u0000"',
  '{"threadId":{"a":1}}',
  '{"length":1e9}',
  '"__proto__"',
  '9007199254740993',
];
