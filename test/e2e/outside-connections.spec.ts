import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, Scope } from '@nestjs/common';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';
import { UserExecutionContext, WebSocketManager } from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import type { EventListenerMethods } from '../processes/event-listener.process.js';
import { NodeProcess } from '../support/node-process.js';
import { startApp } from '../support/test-app.js';

const NO_CONNECTION = (name: string): string =>
  `${name} was asked for where there is no isolated connection`;

describe('a REQUEST-scoped event listener that injects providers of a connection', () => {
  let server: NodeProcess<EventListenerMethods>;
  beforeAll(() => {
    const file = new URL('../processes/event-listener.process.ts', import.meta.url);
    server = new NodeProcess(file, {});
  });
  afterAll(async () => {
    if (!server.hasEnded) await server.call('close');
    await server.kill();
  });

  // The last payload looks like an HTTP request.
  const payloads = [[], [{ text: 'tea' }], ['tea'], [1, 2], [{ headers: { authorization: 'x' } }]];

  it.each(payloads)(
    'gets NO_CONNECTION when it uses them, and the process stays alive: %j',
    async (...payload) => {
      await server.call('emit', 'uses.manager', ...payload);
      await eventually(async () =>
        expect(await server.call('errors')).toEqual([
          expect.stringContaining(NO_CONNECTION('WebSocketManager')),
        ]),
      );
      await server.call('emit', 'uses.context', ...payload);
      await eventually(async () =>
        expect(await server.call('errors')).toEqual([
          expect.stringContaining(NO_CONNECTION('UserExecutionContext')),
        ]),
      );
      expect(server.hasEnded).toBe(false);
    },
  );

  it('is called as usual if it does not use them', async () => {
    await server.call('emit', 'uses.none');
    await eventually(async () =>
      expect(await server.call('heard')).toEqual(['without a connection']),
    );
    expect(await server.call('errors')).toEqual([]);
  });

  it('has no connection even if a handler emits the event', async () => {
    const port = await server.call('port');
    const client = await TestClient.open(`ws://127.0.0.1:${port}/events?user=ada`);
    expect(await client.ask('emit', 'uses.manager')).toEqual({
      event: 'emitted',
      data: ['ada', true],
    });
    await eventually(async () => expect(await server.call('errors')).toHaveLength(1));
    await client.close();
  });

  it('does not change the errors of HTTP requests and of ModuleRef', async () => {
    const port = await server.call('port');
    const { status } = await fetch(`http://127.0.0.1:${port}/manager`);
    expect(status).toBe(500);
    expect((await server.call('errors')).length).toBeGreaterThan(0);
    expect(await server.call('resolve')).toBe('NO_CONNECTION');
  });
});

describe('a consumer with its own request', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Consumer {
    constructor(
      readonly manager: WebSocketManager,
      readonly context: UserExecutionContext,
    ) {}
  }

  it('gets a stand-in that throws NO_CONNECTION, or the error itself without a request', async () => {
    await using app = await startApp({ providers: [Consumer] });
    const moduleRef = app.app.get(ModuleRef);
    const contextId = ContextIdFactory.create();
    moduleRef.registerRequestByContextId({ pattern: 'orders', data: 1, context: {} }, contextId);
    const { manager, context } = await moduleRef.resolve(Consumer, contextId, { strict: false });
    expect(manager).toBeInstanceOf(WebSocketManager);
    expect(context).toBeInstanceOf(UserExecutionContext);
    const uses = [
      () => manager.send('x'),
      () => manager.isActive,
      () => manager.onDispose(() => undefined),
      () => context.userId,
      () => context.child('step'),
      () => JSON.stringify(context),
      () => Object.assign(manager, { lease: 1 }),
    ];
    for (const use of uses) {
      expect(use).toThrow('where there is no isolated connection');
    }
    await expect(
      moduleRef.resolve(Consumer, ContextIdFactory.create(), { strict: false }),
    ).rejects.toMatchObject({ code: 'NO_CONNECTION' });
  });
});
