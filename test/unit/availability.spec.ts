import { describe, expect, it } from '@jest/globals';
import { FakeClock } from 'nestjs-websocket-isolation/testing';
import {
  ClientClosedError,
  ClientOfflineError,
  ConnectionTimeoutError,
  SocketClosedUnexpectedlyError,
} from 'redis';

import { Journal } from '../../src/journal/journal.js';
import { Availability } from '../../src/redis/availability.js';
import { RedisTimeoutError } from '../../src/redis/redis-deadline.js';
import { BacklogError, UnreadableReplyError } from '../../src/redis/redis-failure.js';

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
      expect(redis.failures).toMatchObject({ denied: 1, connection: 1 });
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

describe('the failures of a cluster', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:6379'), {
    code: 'ECONNREFUSED',
  });

  it.each([
    [new RedisTimeoutError(500), 'timeout'],
    [new ConnectionTimeoutError(), 'timeout'],
    [new SocketClosedUnexpectedlyError(), 'connection'],
    [new AggregateError([refused, new Error('another address')]), 'connection'],
    [new Error('NOPERM this user has no permissions to run the "xadd" command'), 'denied'],
    [new Error('OOM command not allowed when used memory > maxmemory.'), 'error-reply'],
    [new UnreadableReplyError('leases'), 'unreadable'],
    [new BacklogError(1_000), 'backlog'],
    [new TypeError('A fault of this library'), 'other'],
    ['no error at all', 'other'],
  ] as const)('count "%s" as %s', (error, reason) => {
    const redis = availability();
    redis.stumble(error);
    expect(Object.entries(redis.failures).filter(([, count]) => count > 0)).toEqual([[reason, 1]]);
  });
});
