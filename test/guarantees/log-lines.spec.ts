import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway } from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import { Fleet } from '../support/fleet.js';
import { startApp } from '../support/test-app.js';

const MINUTE = 60_000;

let lines: { level: string; text: string }[] = [];
const write =
  (level: string) =>
  (text: unknown): void =>
    void lines.push({ level, text: String(text) });

const logger = {
  debug: write('debug'),
  log: write('log'),
  warn: write('warn'),
  error: write('error'),
};

beforeEach(() => {
  lines = [];
  Logger.overrideLogger(logger);
});
afterAll(() => Logger.overrideLogger(false));

const linesOf = (name: string): typeof lines =>
  lines.filter(({ text }) => text.startsWith(`${name} `));

function lineOfVictim({ context }: WebSocketManager, cause: string, code: number): string {
  const { userId, threadId, connectionId, isolationKey } = context;
  return `manager-removed userId=${userId} threadId=${threadId} connectionId=${connectionId} isolationKey=${isolationKey} cause=${cause} code=${code}`;
}

@IsolatedGateway({ path: '/log' })
class LoggedGateway {
  @SubscribeMessage('say')
  say(): void {
    // No reply.
  }

  @SubscribeMessage('fail')
  fail(): void {
    throw new Error('planned');
  }
}

describe('the log', () => {
  it('never contains the data of clients', async () => {
    const secret = 's3cret-payload';
    const testApp = await startApp({ providers: [LoggedGateway] });
    Logger.overrideLogger(logger);
    try {
      const client = await TestClient.open(testApp.url('/log?user=ada&thread=tea'));
      client.send('say', secret);
      client.send('fail', { text: secret });
      client.send(secret, 1);
      client.send('say', { threadId: 'coffee', text: secret });
      client.socket.send(`not json: ${secret}`);
      await eventually(() => {
        for (const name of ['handler-failed', 'thread-mismatch']) {
          expect(linesOf(name).length).toBe(1);
        }
        expect(linesOf('message-dropped').length).toBe(3);
      });
      expect(linesOf('handler-failed')[0]!.text).toContain('userId=ada threadId=tea connectionId=');
      expect(linesOf('thread-mismatch')[0]!.text).toContain('claimedThreadId=coffee');
      await client.close();
      expect(lines.map(({ text }) => text).join('\n')).not.toContain(secret);
    } finally {
      Logger.overrideLogger(false);
      await testApp.close();
    }
  });

  it('has a line for every removed manager, with its ids, the cause and the close code', async () => {
    const fleet = new Fleet();
    const [busy, ...stale] = await fleet.connectMany('ada', 20);
    await fleet.clock.advance(10 * MINUTE);
    busy!.send('news');
    await fleet.connect('ada');
    expect(linesOf('manager-removed')).toEqual(
      stale.map((manager) => ({ level: 'log', text: lineOfVictim(manager, 'stale', 4440) })),
    );
  });

  it('logs each cause of a removal with its close code', async () => {
    const classes = {
      closed: 1000,
      unattached: 1000,
      zombie: 4443,
      stale: 4440,
      idle: 4440,
      evicted: 4409,
      'limit-lowered': 4409,
    };
    for (const [cause, code] of Object.entries(classes)) {
      lines = [];
      const victim = await ways[cause as keyof typeof ways]();
      expect(lines).toContainEqual({ level: 'log', text: lineOfVictim(victim, cause, code) });
    }
  });

  it('warns with the ids of connections that a cleanup had to abandon', async () => {
    const fleet = new Fleet({ cleanup: { emergencyTimeoutMs: 3_000 } });
    const [hanging] = await fleet.connectMany('ada', 2);
    hanging!.onDispose(() => new Promise(() => undefined));
    await fleet.clock.advance(10 * MINUTE);
    const expired = fleet.factory.cleanupExpired();
    await fleet.clock.advance(3_000);
    await expired;
    const { connectionId } = hanging!.context;
    expect(linesOf('cleanup-finished')).toEqual([
      {
        level: 'warn',
        text: `cleanup-finished kind=expired removed=2 abandoned=${connectionId} timedOut=true durationMs=3000`,
      },
    ]);
  });

  it('logs the life cycle of connections on debug, and faults above it', async () => {
    const fleet = new Fleet();
    const manager = await fleet.connect('ada');
    manager.onDispose(() => {
      throw new Error('planned');
    });
    await manager.close(4000, 'bye');
    expect(lines.map(({ level, text }) => [level, text.split(' ')[0]])).toEqual([
      ['debug', 'manager-created'],
      ['debug', 'manager-closing'],
      ['error', 'disposal-fault'],
      ['debug', 'manager-disposed'],
    ]);
    expect(lines.at(-1)!.text).toContain('code=4000 reason=bye initiator=server');
  });

  it('is limited to ten lines per second and event, and counts suppressed lines', async () => {
    const fleet = new Fleet();
    const managers = await fleet.connectMany('ada', 20);
    for (const manager of managers) await manager.close();
    expect(linesOf('manager-disposed').length).toBe(10);
    await fleet.clock.advance(1_000);
    await (await fleet.connect('ada')).close();
    expect(linesOf('manager-disposed').at(-1)!.text).toMatch(/ suppressed=10$/);
  });

  it('writes values of clients on one line, in quotes', async () => {
    const fleet = new Fleet();
    await (await fleet.connect('ada "x" y=1', { isSilent: false })).close(4000, 'a\nb');
    expect(linesOf('manager-disposed')[0]!.text).toContain('userId="ada \\"x\\" y=1"');
    expect(linesOf('manager-disposed')[0]!.text).toContain('reason="a\\nb"');
    expect(lines.every(({ text }) => !text.includes('\n'))).toBe(true);
  });
});

const ways = {
  closed: async () => {
    const fleet = new Fleet();
    const [victim] = await fleet.connectMany('ada', 12);
    // The socket is closed, but its close event was lost.
    fleet.socketOf(victim!).readyState = 3;
    await fleet.connect('ada');
    return victim!;
  },
  unattached: async () => {
    const fleet = new Fleet();
    const victim = await fleet.factory.createManager(fleet.context('ada'));
    await fleet.clock.advance(10_000);
    await fleet.cleanup.runProactive();
    return victim;
  },
  zombie: async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 1 } });
    const victim = await fleet.connect('ada', { isSilent: true });
    const arrival = fleet.connect('ada');
    await fleet.clock.advance(2_000);
    await arrival;
    return victim;
  },
  stale: async () => {
    const fleet = new Fleet();
    const victim = await fleet.connect('ada');
    await fleet.clock.advance(10 * MINUTE);
    await fleet.factory.cleanupExpired();
    return victim;
  },
  idle: async () => {
    const fleet = new Fleet();
    const victim = await fleet.connect('ada');
    await fleet.clock.advance(30 * MINUTE);
    await fleet.cleanup.runProactive();
    return victim;
  },
  evicted: async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 1, overflow: 'evict-idle' } });
    const victim = await fleet.connect('ada');
    await fleet.connect('ada');
    return victim;
  },
  'limit-lowered': async () => {
    const fleet = new Fleet();
    const [victim] = await fleet.connectMany('ada', 2);
    fleet.factory.setLimits({ maxManagersPerUser: 1 });
    return victim!;
  },
} satisfies Record<string, () => Promise<WebSocketManager>>;
