import { afterEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable, Module } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type Clock,
  CLOCK,
  type ConnectionAuthenticator,
  CurrentContext,
  IsolatedGateway,
  type UserExecutionContext,
} from 'nestjs-websocket-isolation';
import { TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

@Injectable()
class Users {
  readonly prefix = 'user-';

  // Injects a provider of the library's module, so this class is instantiated after that module.
  constructor(@Inject(CLOCK) readonly clock: Clock) {}
}

@Injectable()
class PrivateAuthenticator implements ConnectionAuthenticator {
  readonly #calls: string[] = [];

  constructor(private readonly users: Users) {}

  async authenticate(): Promise<{ userId: string }> {
    this.#calls.push('once');
    return { userId: `${this.users.prefix}${this.#calls.length}` };
  }
}

@Module({ providers: [Users, PrivateAuthenticator] })
class AuthModule {}

@IsolatedGateway({ path: '/who' })
class WhoGateway {
  @SubscribeMessage('who')
  who(@CurrentContext() { userId }: UserExecutionContext): unknown {
    return { event: 'you', data: userId };
  }
}

let server: TestApp | undefined;
afterEach(() => server?.close());

describe('an authenticator of a module that is instantiated after the library', () => {
  it('is the complete instance, with its dependencies and private fields', async () => {
    server = await startApp({
      options: { authenticator: PrivateAuthenticator },
      imports: [AuthModule],
      providers: [WhoGateway],
    });
    const first = await TestClient.open(server.url('/who'));
    const second = await TestClient.open(server.url('/who'));
    expect(await first.ask('who')).toEqual({ event: 'you', data: 'user-1' });
    expect(await second.ask('who')).toEqual({ event: 'you', data: 'user-2' });
  });
});
