import type { AddressInfo } from 'node:net';
import { Server as TlsServer } from 'node:tls';

import type { DynamicModule, INestApplication, NestApplicationOptions, Type } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';

import {
  aFunction,
  anything,
  assertPlainOptions,
  type OptionRules,
  withMethods,
} from '../config/plain-options.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import type { Client } from '../client/client.js';
import type { AnyContract } from '../contract/contract.js';
import type { NoContract } from '../contract/message-types.js';
import { type AppClientOptions, clientOf } from './app-client.js';
import { announce } from './test-authenticator.js';
import { TestClient, type TestClientOptions } from './test-client.js';

/** How a test application is started. */
export interface TestApplicationSetup {
  /** Express by default. */
  readonly adapter?: AbstractHttpAdapter;
  /** Called between making the app and listening, for the set-up that `main.ts` does: pipes, filters, prefixes. */
  readonly prepare?: (app: INestApplication) => void | Promise<void>;
  /** As the `logger` option of Nest. Default: no output. */
  readonly logger?: NonNullable<NestApplicationOptions['logger']>;
}

const RULES: OptionRules<TestApplicationSetup> = {
  adapter: withMethods('an HTTP adapter of Nest', 'getHttpServer'),
  prepare: aFunction,
  logger: anything,
};

/**
 * Starts a real application on a free port of this machine.
 *
 * @param root the app's module, or an application that `@nestjs/testing` has made with some providers overridden
 * @example
 * ```ts
 * await using app = await startTestApplication(AppModule);
 * const client = await app.connect('/chat?token=ada');
 * ```
 */
export async function startTestApplication(
  root: Type | DynamicModule | INestApplication,
  setup: TestApplicationSetup = {},
): Promise<TestApplication> {
  assertPlainOptions<TestApplicationSetup>('startTestApplication()', setup, RULES);
  const { adapter, prepare, logger = false } = setup;
  const options = { logger, abortOnError: false } as const;
  const create = (module: Type | DynamicModule): Promise<INestApplication> =>
    adapter ? NestFactory.create(module, adapter, options) : NestFactory.create(module, options);
  const app = isApplication(root) ? root : await create(root);
  try {
    await prepare?.(app);
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    // The parts that have started already would keep the test process alive.
    await app.close();
    throw error;
  }
  return new TestApplication(app);
}

/** A real application under test, with the clients that are connected to it. */
export class TestApplication implements AsyncDisposable {
  /** The port it listens on. */
  readonly port: number;
  /** Ends each client that is still connected. */
  readonly #open = new Set<() => void>();
  readonly #protocol: 'ws' | 'wss';

  /** @internal Made by {@link startTestApplication}. */
  constructor(
    /** Nest's application. */
    readonly app: INestApplication,
  ) {
    const server = app.getHttpServer() as { address(): AddressInfo };
    this.port = server.address().port;
    this.#protocol = server instanceof TlsServer ? 'wss' : 'ws';
  }

  /** The address of a gateway: `ws://…` + path, `wss://…` for an app with `httpsOptions`. */
  url(path: string): string {
    return `${this.#protocol}://127.0.0.1:${this.port}${path}`;
  }

  /**
   * Connects a client. If the client is still connected when the application is closed, it is cut.
   *
   * @param options as `ws` takes them: `headers`, `origin`, …; and `protocols` and a `contract`
   * @throws {UpgradeRefused} with the status of the response
   */
  async connect<C extends AnyContract = NoContract>(
    path: string,
    options: TestClientOptions<C> = {},
  ): Promise<TestClient<C>> {
    const client = await TestClient.open(this.url(path), options);
    const cut = (): void => client.terminate();
    this.#open.add(cut);
    client.socket.once('close', () => this.#open.delete(cut));
    return client;
  }

  /** Connects with a given identity and no token. The app's authenticator has to be {@link TestAuthenticator}. */
  async connectAs<C extends AnyContract = NoContract>(
    identity: ConnectionIdentity,
    path: string,
    options: TestClientOptions<C> = {},
  ): Promise<TestClient<C>> {
    const ticket = announce(identity);
    try {
      const headers = { ...options.headers, ...ticket.headers };
      return await this.connect<C>(path, { ...options, headers });
    } finally {
      ticket.withdraw();
    }
  }

  /**
   * Connects the client of `nestjs-websocket-isolation/client`, as a page does: it comes back, and has requests, streams,
   * answers and topics. With a contract, all data is checked, in both directions. It is closed with the application.
   *
   * @throws {TypeError | RangeError} for an option that is not valid
   */
  client<C extends AnyContract = NoContract>(
    path: string,
    options: AppClientOptions<C> = {},
  ): Client<C> {
    const client = clientOf(this.url(path), options);
    const close = (): void => client.close();
    this.#open.add(close);
    client.onState(({ state }) => {
      if (state === 'closed') this.#open.delete(close);
    });
    return client;
  }

  /**
   * Renews the identity of a connection without a token. The app's authenticator has to be {@link TestAuthenticator}.
   *
   * @throws {Error} with the code of the refusal in its text, for example for an identity of another user
   */
  async renewAs(
    identity: ConnectionIdentity,
    client: Pick<TestClient, 'renew'>,
  ): Promise<{ expiresAt: number | null }> {
    const ticket = announce(identity);
    try {
      return await client.renew(ticket.text);
    } finally {
      ticket.withdraw();
    }
  }

  /** Closes the application with its drain, as a deployment would. Cuts the clients that are left. */
  async close(): Promise<void> {
    await this.app.close();
    for (const end of this.#open) end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isApplication(root: object): root is INestApplication {
  return typeof (root as Partial<INestApplication>).getHttpServer === 'function';
}
