import { describe, expect, it } from '@jest/globals';
import {
  systemClock,
  UserExecutionContext,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { FakeClock } from 'nestjs-websocket-isolation/testing';

import { epochAt } from '../../src/time/clock.js';
import { startApp } from '../support/test-app.js';

describe('The instant of the last activity', () => {
  it('is the same however often it is read', async () => {
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

  it('follows a wall clock that is set, and not one that is read late', () => {
    let wall = 1_000_000;
    const clock = { ...systemClock, now: () => 500, epoch: () => wall };
    expect(epochAt(clock, 400)).toBe(999_900);
    wall += 0.7;
    expect(epochAt(clock, 400)).toBe(999_900);
    wall += 3_600_000;
    expect(epochAt(clock, 400)).toBe(4_599_901);
  });

  it('is that of a clock of tests', () => {
    const clock = new FakeClock();
    expect(epochAt(clock, clock.now())).toBe(clock.epoch());
  });
});
