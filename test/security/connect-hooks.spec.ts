import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  ForbiddenException,
  HttpException,
  Injectable,
  type NestInterceptor,
  type Provider,
  Scope,
  UnauthorizedException,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import { map, type Observable, of, throwError } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

const trace: string[] = [];

/** The result of the guard of `handleConnection`, by user id. */
const answers: Record<string, () => unknown> = {
  refused: () => false,
  'refused-later': () => Promise.resolve(false),
  'refused-as-stream': () => of(false),
  forbidden: () => {
    throw new ForbiddenException('secret');
  },
  unauthorized: () => Promise.reject(new UnauthorizedException('secret')),
  teapot: () => {
    throw new HttpException('secret', 418);
  },
  exception: () => {
    throw new WsException('secret');
  },
  broken: () => {
    throw new Error('secret');
  },
  rejecting: () => Promise.reject(new Error('secret')),
  nothing: () => Promise.reject(undefined),
  silent: () => new Promise(() => undefined),
};

@Injectable({ scope: Scope.REQUEST })
class ConnectGuard implements CanActivate {
  constructor(readonly context: UserExecutionContext) {}
  canActivate(execution: ExecutionContext): never {
    trace.push(`${execution.getType()} guard of ${execution.getHandler().name}`);
    expect(execution.switchToWs().getData()).toBeUndefined();
    const answer = answers[this.context.userId];
    return (answer ? answer() : true) as never;
  }
}

@Injectable()
class ClassGuard implements CanActivate {
  canActivate(execution: ExecutionContext): boolean {
    trace.push(`guard of the class, ${execution.getHandler().name}`);
    return true;
  }
}

@Injectable()
class Around implements NestInterceptor {
  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    trace.push(`before ${execution.getHandler().name}`);
    return next.handle().pipe(
      map((value: unknown) => {
        trace.push(`after ${execution.getHandler().name}`);
        return value;
      }),
    );
  }
}

@Injectable()
class Global implements CanActivate, NestInterceptor {
  canActivate(execution: ExecutionContext): boolean {
    trace.push(`global guard of ${execution.getHandler().name}`);
    return true;
  }
  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    trace.push(`global interceptor of ${execution.getHandler().name}`);
    return next.handle();
  }
}

@IsolatedGateway({ path: '/guarded' })
@UseGuards(ClassGuard)
class GuardedGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
  ) {}

  @UseGuards(ConnectGuard)
  @UseInterceptors(Around)
  async handleConnection(): Promise<string> {
    await new Promise(setImmediate);
    trace.push('connected');
    return 'an ignored result';
  }

  handleDisconnect(_client: object, code: number): void {
    trace.push(`disconnected ${code}`);
  }

  @SubscribeMessage('hi') hi(): unknown {
    return { event: 'hi' };
  }
}

@Injectable()
class No implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@IsolatedGateway({ path: '/hookless' })
@UseGuards(No)
class HooklessGateway {}

@Injectable()
class Failing implements NestInterceptor {
  intercept(): Observable<unknown> {
    return throwError(() => new Error('secret'));
  }
}

@IsolatedGateway({ path: '/intercepted' })
@UseInterceptors(Failing)
class InterceptedGateway {
  handleConnection(): void {
    trace.push('never');
  }
}

let testApp: TestApp;
afterEach(async () => {
  await testApp.close();
  trace.length = 0;
});

async function start(
  providers: Provider[] = [],
  options: WebSocketIsolationOptions = {},
): Promise<void> {
  const gateways = [GuardedGateway, HooklessGateway, InterceptedGateway];
  testApp = await startApp({ providers: [...gateways, ...providers], options });
}

const open = (user: string, path = '/guarded'): Promise<TestClient> =>
  TestClient.open(testApp.url(`${path}?user=${user}`));

describe('guards and interceptors', () => {
  it('of the class and of handleConnection run on connect, once, and global ones do not', async () => {
    await start([
      { provide: APP_GUARD, useClass: Global },
      { provide: APP_INTERCEPTOR, useClass: Global },
    ]);
    const client = await open('ada');
    await eventually(() => expect(trace.at(-1)).toBe('after handleConnection'));
    expect(trace).toEqual([
      'guard of the class, handleConnection',
      'ws guard of handleConnection',
      'before handleConnection',
      'connected',
      'after handleConnection',
    ]);
    trace.length = 0;
    await client.ask('hi');
    expect(trace).toEqual([
      'global guard of hi',
      'guard of the class, hi',
      'global interceptor of hi',
    ]);
    expect(client.messages).toEqual([{ event: 'hi' }]);
  });

  it.each([
    ['refused', 4403],
    ['refused-later', 4403],
    ['refused-as-stream', 4403],
    ['forbidden', 4403],
    ['unauthorized', 4401],
    ['teapot', 1011],
    ['exception', 1011],
    ['broken', 1011],
    ['rejecting', 1011],
    ['nothing', 1011],
  ])('close the connections they refuse: %s with %s', async (user, code) => {
    await start();
    const client = await open(user);
    expect(await client.closed()).toBe(code);
    expect(client.closeReason).not.toContain('secret');
    await eventually(() =>
      expect(testApp.app.get(LeakDetector).getReport().ledger).toMatchObject({ active: 0 }),
    );
    // The connect hook of a refused client has not run, so the disconnect hook does not run either.
    expect(trace).toEqual(['guard of the class, handleConnection', 'ws guard of handleConnection']);
  });

  it('must end within the handshake timeout', async () => {
    await start([], { handshake: { timeoutMs: 1_000 } });
    const client = await open('silent');
    expect(await client.closed()).toBe(4408);
  });

  it('run for a gateway without a connect hook, too', async () => {
    await start();
    expect(await (await open('ada', '/hookless')).closed()).toBe(4403);
  });

  it('that fail close with 1011', async () => {
    await start();
    expect(await (await open('ada', '/intercepted')).closed()).toBe(1011);
    expect(trace).toEqual([]);
  });

  it('that admit a client after it has left run no connect hook', async () => {
    await start();
    let admit!: () => void;
    answers['thinking'] = () => new Promise<boolean>((resolve) => (admit = () => resolve(true)));
    const client = await open('thinking');
    await eventually(() => expect(trace).toContain('ws guard of handleConnection'));
    await client.close();
    admit();
    await eventually(() =>
      expect(testApp.app.get(LeakDetector).getReport().ledger).toMatchObject({ active: 0 }),
    );
    expect(trace).not.toContain('connected');
  });
});
