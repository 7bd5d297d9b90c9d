import { afterEach, describe, expect, it } from '@jest/globals';
import {
  BadGatewayException,
  BadRequestException,
  type CanActivate,
  type ExecutionContext,
  HttpException,
  type LoggerService,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { IsString, MinLength } from 'class-validator';
import { IsolatedGateway } from 'nestjs-websocket-isolation';
import { TestClient } from 'nestjs-websocket-isolation/testing';
import { throwError } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

class Message {
  @IsString()
  @MinLength(3)
  readonly text!: string;
}

const fail = (error: unknown): never => {
  throw error;
};

const teapot = new HttpException('no coffee here', 418);
/** An error like that of code with another copy of Nest. */
const foreign = Object.assign(new Error('from elsewhere'), {
  getStatus: () => 409,
  getResponse: () => ({ message: 'a conflict', statusCode: 409 }),
});

@IsolatedGateway({ path: '/http' })
class HttpishGateway {
  @UsePipes(new ValidationPipe())
  @SubscribeMessage('valid')
  valid(@MessageBody() { text }: Message): unknown {
    return { event: 'valid', data: text };
  }

  @UsePipes({ transform: () => fail(new BadRequestException('not by this pipe')) })
  @SubscribeMessage('pipe')
  pipe(@MessageBody() _data: unknown): void {
    // The enhancer throws before this runs.
  }

  @UseGuards({ canActivate: () => fail(new HttpException('pay first', 402)) })
  @SubscribeMessage('guard')
  guard(): void {
    // The enhancer throws before this runs.
  }

  @UseInterceptors({ intercept: () => throwError(() => teapot) })
  @SubscribeMessage('interceptor')
  interceptor(): void {
    // The enhancer throws before this runs.
  }

  @SubscribeMessage('handler') handler(): never {
    throw new BadRequestException({ reason: 'an object without a text' });
  }

  @SubscribeMessage('foreign') async foreign(): Promise<void> {
    await Promise.reject(foreign);
  }

  @SubscribeMessage('odd') odd(): never {
    throw new HttpException('odd', 499);
  }

  @SubscribeMessage('gateway') gateway(): never {
    throw new BadGatewayException('the password of the database is tea');
  }
}

let app: TestApp;
afterEach(() => app.close());

const logged: string[] = [];
const logger: LoggerService = {
  log: () => undefined,
  warn: () => undefined,
  error: (...lines: unknown[]) => void logged.push(lines.join(' ')),
};

const refused = (code: string, message: unknown, id?: number): unknown => ({
  event: 'exception',
  data: { status: 'error', code, message, ...(id !== undefined && { id }) },
});

describe('an HttpException', () => {
  it('of 4xx reaches the client with its own text from any enhancer, and is not logged as an error', async () => {
    logged.length = 0;
    app = await startApp({ providers: [HttpishGateway], logger });
    const client = await TestClient.open(app.url('/http?user=ada'));
    expect(await client.ask('valid', { text: 'tea' })).toEqual({ event: 'valid', data: 'tea' });
    expect(await client.ask('valid', { text: 1 }, 7)).toEqual(
      refused(
        'BAD_REQUEST',
        ['text must be longer than or equal to 3 characters', 'text must be a string'],
        7,
      ),
    );
    expect(await client.ask('pipe')).toEqual(refused('BAD_REQUEST', 'not by this pipe'));
    expect(await client.ask('guard')).toEqual(refused('PAYMENT_REQUIRED', 'pay first'));
    expect(await client.ask('interceptor')).toEqual(refused('I_AM_A_TEAPOT', 'no coffee here'));
    expect(await client.ask('handler')).toEqual(refused('BAD_REQUEST', 'Bad Request Exception'));
    expect(await client.ask('foreign')).toEqual(refused('CONFLICT', 'a conflict'));
    expect(await client.ask('odd')).toEqual(refused('HTTP_499', 'odd'));
    expect(logged).toEqual([]);
  });

  it('of 5xx is logged and hidden from the client', async () => {
    logged.length = 0;
    app = await startApp({ providers: [HttpishGateway], logger });
    const client = await TestClient.open(app.url('/http?user=ada'));
    expect(await client.ask('gateway')).toEqual({
      event: 'exception',
      data: { status: 'error', code: 'INTERNAL_ERROR', message: 'Internal server error' },
    });
    expect(logged).toEqual([expect.stringContaining('the password of the database is tea')]);
  });
});

describe('a guard written for HTTP', () => {
  it('finds ip and headers of the request, and may add its own properties', async () => {
    class HttpGuard implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        const request = context.switchToHttp().getRequest<Record<string, unknown>>();
        const { authorization } = request['headers'] as Record<string, string>;
        request['user'] = { token: authorization, ip: request['ip'] };
        request['ip'] = '192.0.2.1';
        context
          .switchToHttp()
          .getResponse<{ setHeader(...args: string[]): void }>()
          .setHeader('a', 'b');
        return true;
      }
    }
    @IsolatedGateway({ path: '/guarded' })
    class GuardedGateway {
      @UseGuards(HttpGuard)
      @SubscribeMessage('who')
      who(client: { user: unknown; ip: string }): unknown {
        return { event: 'who', data: { user: client.user, ip: client.ip } };
      }
    }
    app = await startApp({
      providers: [GuardedGateway],
      options: { handshake: { keepHeaders: ['authorization'] } },
    });
    const headers = { authorization: 'Bearer tea' };
    const client = await TestClient.open(app.url('/guarded?user=ada'), { headers });
    expect((await client.ask('who')).data).toEqual({
      user: { token: 'Bearer tea', ip: '127.0.0.1' },
      ip: '192.0.2.1',
    });
  });
});
