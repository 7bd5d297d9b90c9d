import { type CanActivate, Injectable, Scope, UseGuards } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { SubscribeMessage } from '@nestjs/websockets';

import { gateway, pause, startApp, until } from '../app.js';
import type { Probe } from '../probe.js';

@Injectable()
class No implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@Injectable({ scope: Scope.REQUEST })
class ScopedNo extends No {}

export const rejectingConnect: Probe = {
  event: '`handleConnection` rejects',
  good: 'closed with 1011',
  async run(side) {
    @gateway(side)
    class Gateway {
      handleConnection(): Promise<void> {
        return Promise.reject(new Error('no such room'));
      }
    }
    const { connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.closed();
    return client.end;
  },
};

export const throwingDisconnect: Probe = {
  event: '`handleDisconnect` throws',
  good: 'the next client is served',
  async run(side) {
    @gateway(side)
    class Gateway {
      handleDisconnect(): void {
        throw new Error('nothing to leave');
      }
    }
    const { connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.opened();
    client.socket.close();
    await client.closed();
    await pause(50);
    const next = connect();
    await next.opened();
    return next.end === 'open' ? 'the next client is served' : `the next client is ${next.end}`;
  },
};

export const earlyMessage: Probe = {
  event: 'a message arrives while `handleConnection` still loads the user',
  good: 'handled after `handleConnection`',
  async run(side) {
    let isLoaded = false;
    @gateway(side)
    class Gateway {
      async handleConnection(): Promise<void> {
        await pause(100);
        isLoaded = true;
      }
      @SubscribeMessage('hi') hi(): unknown {
        return { event: isLoaded ? 'after' : 'before' };
      }
    }
    const { connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.opened();
    client.send('hi');
    await until(() => client.received.length > 0);
    return client.received[0]?.includes('after')
      ? 'handled after `handleConnection`'
      : 'handled before `handleConnection` has ended';
  },
};

export const classGuard: Probe = {
  event: 'a client connects to a gateway with `@UseGuards()`, and the guard refuses it',
  good: 'closed with 4403',
  async run(side) {
    @gateway(side)
    @UseGuards(No)
    class Gateway {
      handleConnection(): void {
        // Admits every client.
      }
    }
    const { connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.opened();
    await until(() => client.end !== 'open', 300);
    return client.end === 'open' ? 'connected: the guard does not run' : client.end;
  },
};

export const scopedAppGuard: Probe = {
  event: 'a REQUEST-scoped `APP_GUARD` refuses a message of a singleton gateway',
  good: 'refused',
  async run(side) {
    @gateway(side)
    class Gateway {
      @SubscribeMessage('hi') hi(): unknown {
        return { event: 'handled' };
      }
    }
    const guard = { provide: APP_GUARD, useClass: ScopedNo };
    const { connect } = await startApp(side, { providers: [Gateway, guard] });
    const client = connect();
    await client.opened();
    client.send('hi');
    await until(() => client.received.length > 0);
    return client.received[0]?.includes('handled') ? 'handled: the guard does not run' : 'refused';
  },
};
