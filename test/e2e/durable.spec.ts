import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable, Scope } from '@nestjs/common';
import {
  type ContextId,
  ContextIdFactory,
  type ContextIdStrategy,
  type HostComponentInfo,
} from '@nestjs/core';
import { SubscribeMessage } from '@nestjs/websockets';
import { ConnectionRequest, IsolatedGateway } from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

let made: number;
let disposed: number[];

@Injectable({ scope: Scope.REQUEST, durable: true })
class TenantData {
  readonly id = (made += 1);

  [Symbol.dispose](): void {
    disposed.push(this.id);
  }
}

@Injectable({ scope: Scope.REQUEST })
class Session {
  constructor(readonly tenant: TenantData) {}
}

@IsolatedGateway({ path: '/tenant' })
class TenantGateway {
  constructor(private readonly session: Session) {}

  @SubscribeMessage('id')
  id(): unknown {
    return { event: 'id', data: this.session.tenant.id };
  }
}

/** One scope per user, like the strategy of Nest's documentation with one scope per tenant. */
class ByUser implements ContextIdStrategy {
  readonly #tenants = new Map<string, ContextId>();

  attach(contextId: ContextId, request: unknown): (info: HostComponentInfo) => ContextId {
    const { userId } = (request as ConnectionRequest).context;
    const tenant = this.#tenants.get(userId) ?? ContextIdFactory.create();
    this.#tenants.set(userId, tenant);
    return ({ isTreeDurable }) => (isTreeDurable ? tenant : contextId);
  }
}

let server: TestApp;
const open = (user: string): Promise<TestClient> =>
  TestClient.open(server.url(`/tenant?user=${user}`));

beforeEach(async () => {
  made = 0;
  disposed = [];
  server = await startApp({ providers: [TenantData, Session, TenantGateway] });
});

afterEach(async () => {
  ContextIdFactory.apply(undefined as never);
  await server.close();
});

describe('a durable provider', () => {
  it('is shared as the strategy of the app decides, and outlives its connections', async () => {
    ContextIdFactory.apply(new ByUser());
    const first = await open('ada');
    const second = await open('ada');
    const other = await open('bob');
    expect(await first.ask('id')).toEqual({ event: 'id', data: 1 });
    expect(await second.ask('id')).toEqual({ event: 'id', data: 1 });
    expect(await other.ask('id')).toEqual({ event: 'id', data: 2 });
    await Promise.all([first.close(), second.close(), other.close()]);
    const third = await open('ada');
    expect(await third.ask('id')).toEqual({ event: 'id', data: 1 });
    expect(disposed).toEqual([]);
  });

  it('belongs to the connection without a strategy, and is disposed of with it', async () => {
    const first = await open('ada');
    const second = await open('ada');
    expect(await first.ask('id')).toEqual({ event: 'id', data: 1 });
    expect(await second.ask('id')).toEqual({ event: 'id', data: 2 });
    await first.close();
    await eventually(() => expect(disposed).toEqual([1]));
  });

  it('refuses only the connection for which the strategy throws', async () => {
    const strategy = new ByUser();
    ContextIdFactory.apply({
      attach(contextId, request) {
        const { context } = request as ConnectionRequest;
        if (context.userId === 'eve') throw new Error('no tenant');
        return strategy.attach(contextId, request);
      },
    });
    const ada = await open('ada');
    await expect(open('eve')).rejects.toMatchObject({ status: 500 });
    expect(await ada.ask('id')).toEqual({ event: 'id', data: 1 });
  });
});
