import { Injectable, Module, Scope } from '@nestjs/common';
import {
  type ContextId,
  ContextIdFactory,
  type ContextIdStrategy,
  type HostComponentInfo,
} from '@nestjs/core';
import { Interval, ScheduleModule } from '@nestjs/schedule';
import { SubscribeMessage } from '@nestjs/websockets';

import { gateway, pause, startApp, until } from '../app.js';
import type { Probe, Side } from '../probe.js';

export const missingDispose: Probe = {
  event: 'a connection ends, and its REQUEST-scoped provider holds a subscription',
  good: '`Symbol.asyncDispose` is called once',
  async run(side) {
    let [made, disposed] = [0, 0];
    @Injectable({ scope: Scope.REQUEST })
    class Subscription {
      constructor() {
        made += 1;
      }
      [Symbol.asyncDispose](): Promise<void> {
        disposed += 1;
        return Promise.resolve();
      }
      onModuleDestroy(): void {
        disposed += 1;
      }
    }
    @gateway(side)
    class Gateway {
      constructor(readonly subscription: Subscription) {}
      handleConnection(): void {
        // With this hook, the gateway and its providers are created when the client connects.
      }
    }
    Reflect.defineMetadata('design:paramtypes', [Subscription], Gateway);
    const { connect } = await startApp(side, { providers: [Gateway, Subscription] });
    const client = connect();
    await client.opened();
    await until(() => made > 0);
    client.socket.close();
    await client.closed();
    await until(() => disposed > 0, 300);
    return disposed === 0 ? 'never disposed of' : '`Symbol.asyncDispose` is called once';
  },
};

/** The strategy for tenants that share providers, from Nest's documentation. */
class TenantStrategy implements ContextIdStrategy {
  attach(
    contextId: ContextId,
    request: { headers: Record<string, string> },
  ): ReturnType<ContextIdStrategy['attach']> {
    const tenant = request.headers['x-tenant-id'];
    return { resolve: (_info: HostComponentInfo) => contextId, payload: { tenant } };
  }
}

export const contextIdStrategy: Probe = {
  event:
    'a client sends a message to an application whose `ContextIdStrategy` reads `request.headers`',
  good: 'answered',
  async run(side) {
    @Injectable({ scope: Scope.REQUEST })
    class Notes {}
    @gateway(side)
    class Gateway {
      constructor(readonly notes: Notes) {}
      @SubscribeMessage('hi') hi(): unknown {
        return { event: 'hi' };
      }
    }
    Reflect.defineMetadata('design:paramtypes', [Notes], Gateway);
    ContextIdFactory.apply(new TenantStrategy());
    const { connect } = await startApp(side, { providers: [Gateway, Notes] });
    const client = connect();
    await client.opened();
    client.send('hi');
    await until(() => client.received.length > 0, 500);
    return client.received.length > 0 ? 'answered' : `not answered, ${client.end}`;
  },
};

/** Stands for a library that has its own jobs. */
@Module({ imports: [ScheduleModule.forRoot()] })
class LibraryWithJobs {}

export const doubledSchedules: Probe = {
  event: 'the application has an `@Interval` job and imports a library that has jobs too',
  good: 'the job runs once per interval',
  async run(side: Side) {
    const ticks: number[] = [];
    @Injectable()
    class Jobs {
      @Interval(100)
      tick(): void {
        ticks.push(performance.now());
      }
    }
    const library = side === 'stock' ? [LibraryWithJobs] : [];
    await startApp(side, { imports: [ScheduleModule.forRoot(), ...library], providers: [Jobs] });
    await pause(750);
    const isDoubled = ticks.length > 9;
    return isDoubled ? 'the job runs twice per interval' : 'the job runs once per interval';
  },
};
