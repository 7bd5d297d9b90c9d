import { describe, expect, it } from '@jest/globals';
import * as ws from 'ws';

import { TextFrame } from '../../src/wire/text-frame.js';

// Not in its types.
const { Sender } = ws as unknown as {
  Sender: { frame(text: string, options: object): (Buffer | string)[] };
};

const LENGTHS = [0, 1, 40, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 1_000_000];

describe('a text frame', () => {
  it.each(LENGTHS)('of %i bytes is what `ws` writes in pieces', (length) => {
    for (const filling of ['x', 'é', '🚲']) {
      const width = Buffer.byteLength(filling);
      const text = filling.repeat(Math.floor(length / width)) + '.'.repeat(length % width);
      const pieces = Sender.frame(text, { fin: true, opcode: 1 });
      const frame = TextFrame.of(text);
      expect(frame.bytes.equals(Buffer.concat(pieces.map((piece) => Buffer.from(piece))))).toBe(
        true,
      );
      expect(frame.payload.toString()).toBe(text);
    }
  });

  it('replaces half of a surrogate pair as every encoder does', () => {
    const broken = 'a\ud800b';
    expect(TextFrame.of(broken).payload.equals(Buffer.from(broken))).toBe(true);
  });
});
