import { UnauthorizedException } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';

import type { Scenario } from '../scenario.js';

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Connect = (client: WebSocket, request: IncomingMessage) => unknown;

const connects: Record<string, Connect> = {
  'that sends': (client) => client.send('"welcome"'),
  'that answers with a value': () => ({ event: 'ignored' }),
  'that reads the request': (client, request) =>
    client.send(JSON.stringify([request.url, request.headers['x-tea']])),
  'that closes at once': (client) => client.close(4001, 'no'),
  'that closes later': async (client) => {
    await later();
    client.close(4001, 'no');
  },
  'that waits': async () => {
    await later();
  },
  'that throws': () => {
    throw new Error('secret');
  },
  'that rejects': async () => {
    await later();
    throw new Error('secret');
  },
  'that throws Unauthorized': () => {
    throw new UnauthorizedException();
  },
};

export const hooks: readonly Scenario[] = Object.entries(connects).map(([name, connect]) => ({
  title: `hooks: handleConnection ${name}`,
  app: ({ gateway, note }) => {
    @gateway()
    class Gateway {
      handleConnection(client: WebSocket, request: IncomingMessage): unknown {
        note('connect');
        return connect(client, request);
      }
      handleDisconnect(_client: WebSocket, code: unknown): void {
        note(`disconnect ${String(code)}`);
      }
      @SubscribeMessage('hi') hi(): unknown {
        return { event: 'hi' };
      }
    }
    return { providers: [Gateway] };
  },
  async script(session) {
    const ada = await session.connect('ada', '/', { headers: { 'x-tea': 'green' } });
    await ada.send('hi');
    await ada.close(4321);
    await session.noted(name.includes('closes') ? 'disconnect 4001' : 'disconnect 4321');
  },
}));
