import { describe, expect, it } from '@jest/globals';

import { RecentValues } from '../../src/structures/recent-values.js';

describe('recent values', () => {
  it('compute a value once while its key is asked for, and remember a bounded number of them', () => {
    const computed: string[] = [];
    const values = new RecentValues(4, (key) => {
      computed.push(key);
      return key.toUpperCase();
    });
    for (let index = 0; index < 100; index += 1) {
      expect(values.of('often')).toBe('OFTEN');
      expect(values.of(`key ${index}`)).toBe(`KEY ${index}`);
    }
    expect(computed.filter((key) => key === 'often')).toEqual(['often']);
    computed.length = 0;
    for (let index = 0; index < 100; index += 1) values.of(`key ${index}`);
    // Of all hundred, at most eight were remembered.
    expect(computed.length).toBeGreaterThanOrEqual(92);
  });
});
