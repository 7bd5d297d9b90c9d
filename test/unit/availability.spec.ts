import { describe, expect, it } from '@jest/globals';
import { FakeClock } from 'nestjs-websocket-isolation/testing';
import { ClientClosedError, ClientOfflineError } from 'redis';

import { Journal } from '../../src/journal/journal.js';
import { Availability } from '../../src/redis/availability.js';

const availability = (): Availability => {
  const clock = new FakeClock();
  return new Availability({ clock, journal: new Journal(clock) }, 'local', 'node');
};

describe('the last error of a cluster', () => {
  it.each([new ClientOfflineError(), new ClientClosedError()])(
    'keeps the cause of the missing connection after "%s"',
    (offline) => {
      const redis = availability();
      redis.stumble(new Error('WRONGPASS invalid username-password pair'));
      redis.stumble(offline);
      expect(redis.lastError).toContain('WRONGPASS');
      expect(redis.failures).toBe(2);
      redis.stumble(new Error('NOAUTH Authentication required.'));
      expect(redis.lastError).toContain('NOAUTH');
    },
  );

  it('is the missing connection if no other cause is known', () => {
    const redis = availability();
    redis.stumble(new ClientOfflineError());
    expect(redis.lastError).toContain('offline');
  });
});
