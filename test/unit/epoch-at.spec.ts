import { describe, expect, it } from '@jest/globals';
import {
  systemClock,
  UserExecutionContext,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { FakeClock } from 'nestjs-websocket-isolation/testing';

import { epochAt } from '../../src/time/clock.js';
import { startApp } from '../support/test-app.js';

describe('The time of the last activity', () => {
  it('is the same in every reading', async () => {
    const testApp = await startApp();
    try {
      const context = UserExecutionContext.fromWebSocketRequest({ userId: 'ada' });
      const manager = await testApp.app.get(WebSocketManagerFactory).createManager(context);
      const readings = new Set<number>();
      for (let reading = 0; reading < 20_000; reading += 1) {
        readings.add(manager.getStats().metrics.lastActivity.getTime());
      }
      expect([...readings]).toHaveLength(1);
      expect(Math.abs([...readings][0]! - Date.now())).toBeLessThan(60_000);
    } finally {
      await testApp.close();
    }
  });

  it('follows a wall clock that is set, but not the jitter of its readings', () => {
    let wall = 1_000_000;
    const clock = { ...systemClock, now: () => 500, epoch: () => wall };
    expect(epochAt(clock, 400)).toBe(999_900);
    wall += 0.7;
    expect(epochAt(clock, 400)).toBe(999_900);
    wall += 3_600_000;
    expect(epochAt(clock, 400)).toBe(4_599_901);
  });

  it('uses the time of a fake clock', () => {
    const clock = new FakeClock();
    expect(epochAt(clock, clock.now())).toBe(clock.epoch());
  });
});
