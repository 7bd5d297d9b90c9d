import { describe, expect, it } from '@jest/globals';
import * as ws from 'ws';

import { TextFrame } from '../../src/wire/text-frame.js';

// `Sender.frame` is not part of the types of `ws`.
const { Sender } = ws as unknown as {
  Sender: { frame(text: string, options: object): (Buffer | string)[] };
};

const LENGTHS = [0, 1, 40, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 1_000_000];

describe('a text frame', () => {
  it.each(LENGTHS)('of %i bytes equals the pieces that `ws` writes', (length) => {
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

  it('replaces a lone surrogate like every encoder', () => {
    const broken = 'a\ud800b';
    expect(TextFrame.of(broken).payload.equals(Buffer.from(broken))).toBe(true);
  });
});
