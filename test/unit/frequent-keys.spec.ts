import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { FrequentKeys } from '../../src/structures/frequent-keys.js';

describe('frequent keys', () => {
  it('names every key that makes up more than one in its capacity, whatever the order', () => {
    const capacity = 8;
    const orders = fc.array(fc.oneof(fc.constantFrom('often', 'frequent'), fc.string()), {
      maxLength: 400,
    });
    fc.assert(
      fc.property(orders, (keys) => {
        const counts = new Map<string, number>();
        const frequent = new FrequentKeys(capacity);
        for (const key of keys) {
          counts.set(key, (counts.get(key) ?? 0) + 1);
          frequent.add(key);
        }
        const named = new Map(frequent.top(capacity).map(({ key, times }) => [key, times]));
        const missed = [...counts].filter(
          ([key, times]) => times > keys.length / capacity && (named.get(key) ?? 0) < times,
        );
        expect(missed).toEqual([]);
        expect(named.size).toBeLessThanOrEqual(capacity);
      }),
    );
  });
});
