import { SubscribeMessage } from '@nestjs/websockets';

import type { Scenario, Setting } from '../scenario.js';

/** Frames that a client may send. */
const frames: Record<string, readonly (string | Buffer)[]> = {
  'not JSON': ['', ' ', '{', 'undefined', 'NaN', '\u0000', '{"event":"hi"}x'],
  'JSON but no message': [
    'null',
    'true',
    '0',
    '1',
    '"hi"',
    '[]',
    '["hi",1]',
    '{}',
    '[{"event":"hi"}]',
  ],
  'no event, or a strange one': [
    '{"data":1}',
    '{"event":null}',
    '{"event":true}',
    '{"event":1}',
    '{"event":["hi"]}',
    '{"event":{"toString":"hi"}}',
    '{"event":""}',
  ],
  'unknown events': ['{"event":"nope"}', '{"event":"HI"}', '{"event":" hi"}', '{"event":"hi "}'],
  'names of prototypes as events': [
    '{"event":"__proto__"}',
    '{"event":"constructor"}',
    '{"event":"toString"}',
    '{"event":"hasOwnProperty"}',
    '{"event":"handleConnection"}',
    '{"event":"afterInit"}',
    '{"event":"exception"}',
  ],
  'names of prototypes in the data': [
    '{"event":"hi","data":{"__proto__":{"admin":true}}}',
    '{"event":"hi","data":{"constructor":{"prototype":{"admin":true}}}}',
    '{"__proto__":{"event":"hi"}}',
    '{"event":"hi","event":"other"}',
  ],
  'binary frames': [
    Buffer.from('{"event":"hi","data":"binary"}'),
    Buffer.from([0xff, 0xfe, 0x00]),
    Buffer.alloc(0),
    Buffer.from('\ufeff{"event":"hi"}'),
  ],
  'more than a message': [
    '{"event":"hi","data":1,"id":7,"extra":true}',
    '{"event":"hi"}',
    '  {"event":"hi","data":null}\n',
    '{"event":"hi","data":"\\ud800"}',
    '{"event":"ünïcödé 漢","data":"🚲"}',
  ],
  'numbers as events': ['{"event":42}', '{"event":"42"}', '{"event":1e999}', '{"event":-0}'],
};

function app({ gateway, note }: Setting) {
  @gateway()
  class Gateway {
    @SubscribeMessage('hi') hi(_client: unknown, data: unknown, pattern: unknown): unknown {
      note(`hi ${JSON.stringify(data)} ${typeof pattern}`);
      return { event: 'hi', data, admin: ({} as { admin?: unknown }).admin };
    }
    @SubscribeMessage('other') other(): unknown {
      return { event: 'other' };
    }
    @SubscribeMessage('ünïcödé 漢') unicode(_client: unknown, data: unknown): unknown {
      return { event: 'unicode', data };
    }
    @SubscribeMessage(42 as never) number(): unknown {
      return { event: 'number' };
    }
  }
  return { providers: [Gateway] };
}

export const frameScenarios: readonly Scenario[] = Object.entries(frames).map(([name, sent]) => ({
  title: `frames: ${name}`,
  app,
  async script(session) {
    const ada = await session.connect('ada');
    for (const frame of sent) await ada.sendRaw(frame);
    await ada.send('hi', 'still there');
  },
}));
