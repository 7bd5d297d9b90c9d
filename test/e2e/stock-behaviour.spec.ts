import type { AddressInfo } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentMetadata,
  Catch,
  createParamDecorator,
  type ExecutionContext,
  Inject,
  Injectable,
  Module,
  type NestInterceptor,
  type PipeTransform,
  type Provider,
  Scope,
  type Type,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import {
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
  WsException,
} from '@nestjs/websockets';
import { IsString } from 'class-validator';
import {
  CurrentContext,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import { eventually, startTestApplication, TestClient } from 'nestjs-websocket-isolation/testing';
import { concat, delay, from, map, type Observable, of, throwError } from 'rxjs';
import type { WebSocket, WebSocketServer as Server } from 'ws';

import { startApp, type TestApp } from '../support/test-app.js';

type Decorate = () => ClassDecorator;

class SayDto {
  @IsString()
  text!: string;
}

const trace: string[] = [];

const guard = (name: string, answer: (context: ExecutionContext) => unknown = () => true): Type => {
  @Injectable()
  class NamedGuard {
    canActivate(context: ExecutionContext): unknown {
      if (context.getType() === 'ws') trace.push(`guard ${name}`);
      return answer(context);
    }
  }
  return NamedGuard;
};

const interceptor = (name: string): Type<NestInterceptor> => {
  @Injectable()
  class NamedInterceptor implements NestInterceptor {
    intercept(
      _context: ExecutionContext,
      next: { handle(): Observable<unknown> },
    ): Observable<unknown> {
      trace.push(`before ${name}`);
      return next.handle().pipe(
        map((reply) => {
          trace.push(`after ${name}`);
          return reply;
        }),
      );
    }
  }
  return NamedInterceptor;
};

const pipe = (name: string): Type<PipeTransform> => {
  @Injectable()
  class NamedPipe implements PipeTransform {
    transform(value: unknown, { type }: ArgumentMetadata): unknown {
      if (type === 'body') trace.push(`pipe ${name}`);
      return value;
    }
  }
  return NamedPipe;
};

@Catch(RangeError)
class RangeFilter {
  catch(
    error: RangeError,
    host: { switchToWs(): { getClient(): WebSocket; getPattern(): string } },
  ): void {
    const client = host.switchToWs().getClient();
    client.send(
      JSON.stringify({ event: 'filtered', data: [error.message, host.switchToWs().getPattern()] }),
    );
  }
}

const Shout = createParamDecorator((suffix: string, context: ExecutionContext) => {
  const { text } = context.switchToWs().getData<{ text: string }>();
  return `${text.toUpperCase()}${suffix}`;
});

// The same gateway in every form. Only its dependency and its decorator differ.
function createGateway(decorate: Decorate, dependency: Type): Type {
  @decorate()
  @UseGuards(guard('class'))
  @UseInterceptors(interceptor('class'))
  @UsePipes(pipe('class'))
  @UseFilters(RangeFilter)
  class Gateway {
    @WebSocketServer() server!: Server;
    static initialised: unknown[] = [];

    constructor(@Inject(dependency) readonly dependency: object) {}

    afterInit(server: unknown): void {
      Gateway.initialised.push(server);
    }

    @SubscribeMessage('value') value(): unknown {
      return { event: 'value', data: 1 };
    }
    @SubscribeMessage('promise') async promise(): Promise<unknown> {
      await new Promise(setImmediate);
      return { event: 'promise', data: 2 };
    }
    @SubscribeMessage('many') many(): Observable<unknown> {
      return from([1, 2, 3]).pipe(map((data) => ({ event: 'many', data })));
    }
    @SubscribeMessage('later') later(): Observable<unknown> {
      return of({ event: 'later', data: 'x' }).pipe(delay(5));
    }
    @SubscribeMessage('nothing') nothing(): void {
      // No reply.
    }
    @SubscribeMessage('plain') plain(): string {
      return 'just a text';
    }
    @SubscribeMessage('field') field(@MessageBody('text') text: string): unknown {
      return { event: 'field', data: text };
    }
    @SubscribeMessage('args') args(client: WebSocket, data: unknown, pattern: unknown): unknown {
      return { event: 'args', data: [client.readyState, data, typeof pattern] };
    }
    @SubscribeMessage('socket') socket(
      @MessageBody() data: unknown,
      @ConnectedSocket() client: WebSocket,
    ): unknown {
      return { event: 'socket', data: [data, client.readyState] };
    }
    @SubscribeMessage('custom') custom(@Shout('!') text: string): unknown {
      return { event: 'custom', data: text };
    }
    @SubscribeMessage('validated')
    @UsePipes(
      new ValidationPipe({ exceptionFactory: (errors) => new WsException(errors[0]!.property) }),
    )
    validated(@MessageBody() body: SayDto): unknown {
      return { event: 'validated', data: [body.text, body instanceof SayDto] };
    }
    @SubscribeMessage('parameter-pipe') parameterPipe(
      @MessageBody('text', { transform: (value: string) => Promise.resolve(value.trim()) })
      text: string,
    ): unknown {
      return { event: 'parameter-pipe', data: text };
    }
    @SubscribeMessage('server') hasServer(): unknown {
      return { event: 'server', data: this.server === Gateway.initialised.at(-1) };
    }
    @UseGuards(guard('method'))
    @UseInterceptors(interceptor('method'))
    @UsePipes(pipe('method'))
    @SubscribeMessage('traced')
    traced(@MessageBody() data: unknown): unknown {
      trace.push('handler');
      return { event: 'traced', data };
    }
    @UseGuards(guard('refusing', () => Promise.resolve(false)))
    @SubscribeMessage('refused')
    refused(): unknown {
      return { event: 'refused' };
    }
    @UseGuards(guard('observable', () => of(false, true)))
    @SubscribeMessage('observable-guard')
    observableGuard(): unknown {
      return { event: 'observable-guard', data: 'in' };
    }
    @SubscribeMessage('range') range(): never {
      throw new RangeError('out');
    }
    @SubscribeMessage('ws-exception') wsException(): never {
      throw new WsException('no tea');
    }
    @SubscribeMessage('ws-object') wsObject(): never {
      throw new WsException({ status: 418, tea: true });
    }
    @SubscribeMessage('broken-stream') brokenStream(): Observable<unknown> {
      return concat(
        of({ event: 'broken-stream', data: 1 }),
        throwError(() => new WsException('half')),
      );
    }
  }
  return Gateway;
}

@Injectable()
class Singleton {}

const forms: [name: string, decorate: Decorate, dependency: Type, provide: Provider[]][] = [
  ['stock', () => WebSocketGateway({ path: '/g' }), Singleton, [Singleton]],
  ['isolated singleton', () => IsolatedGateway({ path: '/g' }), Singleton, [Singleton]],
  [
    'isolated per connection',
    () => IsolatedGateway({ path: '/g' }),
    UserExecutionContext as never,
    [],
  ],
];

let testApp: TestApp | undefined;
afterEach(async () => {
  trace.length = 0;
  await testApp?.close();
  testApp = undefined;
});

async function startForm(index: number, providers: Provider[] = []): Promise<TestApp> {
  const [name, decorate, dependency, provide] = forms[index]!;
  const all = [createGateway(decorate, dependency), ...provide, ...providers];
  if (name !== 'stock') return startApp({ providers: all });
  @Module({ providers: all })
  class StockModule {}
  return startTestApplication(StockModule, {
    prepare: (app) => void app.useWebSocketAdapter(new WsAdapter(app)),
  });
}

describe.each(forms.map(([name], index) => ({ name, index })))(
  'a $name gateway',
  ({ name, index }) => {
    const connect = async (providers?: Provider[]): Promise<TestClient> => {
      testApp = await startForm(index, providers);
      return TestClient.open(testApp.url('/g?user=ada'));
    };

    it('replies with a value, a promise, an observable of several values, or not at all', async () => {
      const client = await connect();
      expect(await client.ask('value')).toEqual({ event: 'value', data: 1 });
      expect(await client.ask('promise')).toEqual({ event: 'promise', data: 2 });
      expect(await client.ask('many')).toEqual({ event: 'many', data: 1 });
      expect([(await client.next()).data, (await client.next()).data]).toEqual([2, 3]);
      expect(await client.ask('later')).toEqual({ event: 'later', data: 'x' });
      client.send('nothing');
      expect(await client.ask('plain')).toBe('just a text');
    });

    it('passes the body, a field of it, the socket, and the values of custom decorators', async () => {
      const client = await connect();
      expect((await client.ask('field', { text: 'tea' })).data).toBe('tea');
      expect((await client.ask('field', null)).event).toBe('field');
      expect((await client.ask('args', [1])).data).toEqual([1, [1], 'undefined']);
      expect((await client.ask('socket', 'x')).data).toEqual(['x', 1]);
      expect((await client.ask('custom', { text: 'tea' })).data).toBe('TEA!');
      expect((await client.ask('server')).data).toBe(true);
    });

    it('runs pipes of parameters and of methods', async () => {
      const client = await connect();
      expect((await client.ask('parameter-pipe', { text: ' tea ' })).data).toBe('tea');
      const validated = await client.ask('validated', { text: 'tea' });
      expect(validated.data).toEqual(['tea', false]);
      expect(await client.ask('validated', { text: 1 })).toMatchObject({
        event: 'exception',
        data: { status: 'error', message: 'text' },
      });
    });

    it('runs guards, interceptors and pipes in the order of Nest', async () => {
      const client = await connect();
      trace.length = 0;
      await client.ask('traced', 'x');
      expect(trace).toEqual([
        'guard class',
        'guard method',
        'before class',
        'before method',
        'pipe class',
        'pipe method',
        'handler',
        'after method',
        'after class',
      ]);
    });

    it('runs global and APP_* enhancers', async () => {
      const client = await connect([
        { provide: APP_GUARD, useClass: guard('app') },
        { provide: APP_INTERCEPTOR, useClass: interceptor('app') },
        { provide: APP_PIPE, useClass: pipe('app') },
      ]);
      trace.length = 0;
      await client.ask('traced', 'x');
      expect(trace.slice(0, 3)).toEqual(['guard app', 'guard class', 'guard method']);
      expect(trace).toContain('before app');
      expect(trace).toContain('pipe app');
    });

    it('replies with an exception to messages that a guard refuses', async () => {
      const client = await connect();
      expect(await client.ask('refused')).toMatchObject({
        event: 'exception',
        data: { status: 'error', message: 'Forbidden resource' },
      });
      expect(await client.ask('observable-guard')).toEqual({
        event: 'observable-guard',
        data: 'in',
      });
    });

    it('lets filters reply, and replies to other errors itself', async () => {
      const client = await connect();
      expect(await client.ask('range')).toEqual({ event: 'filtered', data: ['out', 'range'] });
      expect(await client.ask('ws-exception')).toMatchObject({
        event: 'exception',
        data: { status: 'error', message: 'no tea' },
      });
      expect(await client.ask('ws-object')).toEqual({
        event: 'exception',
        data: { status: 418, tea: true },
      });
      expect((await client.ask('broken-stream')).event).toBe('broken-stream');
      expect(await client.next()).toMatchObject({ event: 'exception', data: { message: 'half' } });
    });

    it('ignores frames that are not JSON and unknown events, and reads binary JSON', async () => {
      const client = await connect();
      for (const frame of [
        '{',
        '',
        'null',
        '1',
        '[]',
        '{}',
        '{"event":"toString"}',
        '{"event":null}',
      ]) {
        client.socket.send(frame);
      }
      client.socket.send(Buffer.from('{"event":"value"}'));
      expect(await client.next()).toEqual({ event: 'value', data: 1 });
      expect(client.messages).toHaveLength(1);
    });

    if (name !== 'stock') {
      it('replies to a failed message with its id, and never with the cause', async () => {
        const client = await connect();
        const { data } = await client.ask('ws-exception', { secret: 's' }, 'm-1');
        expect(data).toEqual({
          status: 'error',
          code: 'WS_EXCEPTION',
          message: 'no tea',
          id: 'm-1',
        });
        expect((await client.ask('refused', {}, 7)).data).toEqual({
          status: 'error',
          code: 'FORBIDDEN',
          message: 'Forbidden resource',
          id: 7,
        });
      });
    }
  },
);

describe('REQUEST-scoped enhancers', () => {
  const seen: [string, boolean][] = [];

  @Injectable({ scope: Scope.REQUEST })
  class ScopedGuard {
    constructor(
      readonly context: UserExecutionContext,
      readonly manager: WebSocketManager,
    ) {}
    canActivate(execution: ExecutionContext): boolean {
      const isSame = this.manager.context === this.context;
      seen.push([`${this.context.userId} ${execution.getHandler().name}`, isSame]);
      return this.context.userId !== 'mallory';
    }
  }

  @IsolatedGateway({ path: '/static' })
  class StaticGateway {
    @SubscribeMessage('whoami') whoami(@CurrentContext() context: UserExecutionContext): unknown {
      return { event: 'you', data: context.userId };
    }
  }

  it('belong to the connection, even on a singleton gateway', async () => {
    testApp = await startApp({
      providers: [StaticGateway, { provide: APP_GUARD, useClass: ScopedGuard }],
    });
    const clients = await Promise.all(
      ['ada', 'bob', 'mallory'].map((user) =>
        TestClient.open(testApp!.url(`/static?user=${user}`)),
      ),
    );
    expect(await clients[0]!.ask('whoami')).toEqual({ event: 'you', data: 'ada' });
    expect(await clients[1]!.ask('whoami')).toEqual({ event: 'you', data: 'bob' });
    expect((await clients[2]!.ask('whoami')).event).toBe('exception');
    expect(seen).toEqual([
      ['ada whoami', true],
      ['bob whoami', true],
      ['mallory whoami', true],
    ]);
  });
});

describe('hooks', () => {
  const calls: string[] = [];
  abstract class Base {
    handleConnection(client: WebSocket, request: { url: string }): void {
      calls.push(`connect ${client.readyState} ${request.url}`);
    }
    handleDisconnect(_client: WebSocket, code: number): void {
      calls.push(`disconnect ${code}`);
    }
  }

  @IsolatedGateway({ path: '/inherited' })
  class InheritingGateway extends Base {}

  @IsolatedGateway({ path: '/async' })
  class AsyncGateway {
    constructor(readonly context: UserExecutionContext) {}
    async handleConnection(): Promise<void> {
      await new Promise(setImmediate);
      calls.push(`connected ${this.context.userId}`);
    }
    async handleDisconnect(): Promise<void> {
      await new Promise(setImmediate);
      calls.push(`gone ${UserExecutionContext.current().userId}`);
    }
  }

  @IsolatedGateway({ path: '/throwing' })
  class ThrowingGateway {
    constructor(readonly context: UserExecutionContext) {}
    handleConnection(): void | Promise<void> {
      if (this.context.userId === 'sync') throw new Error('secret connect');
      if (this.context.userId === 'async') return Promise.reject(new Error('secret connect'));
    }
    handleDisconnect(): void {
      calls.push('disconnect of throwing');
      throw new Error('secret disconnect');
    }
    @SubscribeMessage('hi') hi(): unknown {
      return { event: 'hi' };
    }
  }

  const providers = [InheritingGateway, AsyncGateway, ThrowingGateway];

  it('run when inherited and when asynchronous', async () => {
    calls.length = 0;
    testApp = await startApp({ providers });
    const inherited = await TestClient.open(testApp.url('/inherited?user=ada'));
    await inherited.close(4000);
    await eventually(() =>
      expect(calls).toEqual(['connect 1 /inherited?user=ada', 'disconnect 4000']),
    );
    const client = await TestClient.open(testApp.url('/async?user=bob'));
    await eventually(() => expect(calls).toContain('connected bob'));
    await client.close();
    await eventually(() => expect(calls).toContain('gone bob'));
  });

  it.each(['sync', 'async'])(
    'that throw (%s) close with 1011 and affect no other connection',
    async (user) => {
      calls.length = 0;
      testApp = await startApp({ providers });
      const other = await TestClient.open(testApp.url('/throwing?user=ada'));
      const client = await TestClient.open(testApp.url(`/throwing?user=${user}`));
      expect(await client.closed()).toBe(1011);
      expect(client.closeReason).not.toContain('secret');
      await eventually(() => expect(calls).toEqual(['disconnect of throwing']));
      expect(await other.ask('hi')).toEqual({ event: 'hi' });
    },
  );
});

describe('several gateways', () => {
  @IsolatedGateway({ path: '/shared' })
  class First {
    constructor(readonly context: UserExecutionContext) {}
    @SubscribeMessage('first') first(): unknown {
      return { event: 'first', data: this.context.connectionId };
    }
    @SubscribeMessage('both') both(): unknown {
      return { event: 'both', data: 'first' };
    }
  }

  @IsolatedGateway({ path: '/shared' })
  class Second {
    constructor(readonly context: UserExecutionContext) {}
    @SubscribeMessage('second') second(): unknown {
      return { event: 'second', data: this.context.connectionId };
    }
    @SubscribeMessage('both') both(): unknown {
      return { event: 'both', data: 'second' };
    }
  }

  @WebSocketGateway({ path: '/shared' })
  class PlainOnShared {
    @SubscribeMessage('plain') plain(): unknown {
      return { event: 'plain', data: 'yes' };
    }
  }

  @WebSocketGateway({ path: '/plain' })
  class Plain {
    handleConnection(client: WebSocket): void {
      client.send('{"event":"welcome"}');
    }
    @SubscribeMessage('hi') hi(@MessageBody() data: unknown): unknown {
      return { event: 'hi', data };
    }
  }

  it('share a path and its connections, isolated and plain', async () => {
    testApp = await startApp({ providers: [First, Second, PlainOnShared, Plain] });
    const client = await TestClient.open(testApp.url('/shared?user=ada'));
    const first = await client.ask('first');
    expect((await client.ask('second')).data).toBe(first.data);
    client.send('both');
    const answers: string[] = [(await client.next()).data, (await client.next()).data];
    expect(answers.toSorted()).toEqual(['first', 'second']);
    expect(await client.ask('plain')).toEqual({ event: 'plain', data: 'yes' });
  });

  it('do not change plain ones: they stay open to every client, and reply as before', async () => {
    testApp = await startApp({ providers: [First, Plain] });
    const client = await TestClient.open(testApp.url('/plain'));
    expect(await client.next()).toEqual({ event: 'welcome' });
    expect(await client.ask('hi', 'you')).toEqual({ event: 'hi', data: 'you' });
    await expect(TestClient.open(testApp.url('/shared'))).rejects.toMatchObject({ status: 401 });
    await expect(TestClient.open(testApp.url('/nowhere'))).rejects.toMatchObject({ status: 404 });
    await expect(TestClient.open(testApp.url('/shared/?user=ada'))).resolves.toBeDefined();
  });

  it('listen on their own ports, with and without a path', async () => {
    const [port, other] = [await freePort(), await freePort()];
    @IsolatedGateway(port, { path: '/own' })
    class OwnPort {
      @SubscribeMessage('hi') hi(@CurrentContext() context: UserExecutionContext): unknown {
        return { event: 'hi', data: context.userId };
      }
    }
    @IsolatedGateway(other)
    class AnyPath {
      @SubscribeMessage('hi') hi(@CurrentContext() context: UserExecutionContext): unknown {
        return { event: 'any', data: context.userId };
      }
    }
    testApp = await startApp({ providers: [OwnPort, AnyPath] });
    const own = await TestClient.open(`ws://127.0.0.1:${port}/own?user=ada`);
    expect(await own.ask('hi')).toEqual({ event: 'hi', data: 'ada' });
    const any = await TestClient.open(`ws://127.0.0.1:${other}/whatever?user=bob`);
    expect(await any.ask('hi')).toEqual({ event: 'any', data: 'bob' });
    expect(own.closeCode).toBeUndefined();
  });
});

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
