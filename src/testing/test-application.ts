import type { AddressInfo } from 'node:net';
import { Server as TlsServer } from 'node:tls';

import type { DynamicModule, INestApplication, NestApplicationOptions, Type } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import type { ClientOptions } from 'ws';

import {
  aFunction,
  anything,
  assertPlainOptions,
  type OptionRules,
  withMethods,
} from '../config/plain-options.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import { TestClient } from './test-client.js';
import { withTicket } from './test-authenticator.js';

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
  readonly #clients = new Set<TestClient>();
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
   * @param options as `ws` takes them: `headers`, `origin`, …
   * @throws {UpgradeRefused} with the status of the response
   */
  async connect(path: string, options: ClientOptions = {}): Promise<TestClient> {
    const client = await TestClient.open(this.url(path), options);
    this.#clients.add(client);
    client.socket.once('close', () => this.#clients.delete(client));
    return client;
  }

  /** Connects with a given identity and no token. The app's authenticator has to be {@link TestAuthenticator}. */
  connectAs(
    identity: ConnectionIdentity,
    path: string,
    options: ClientOptions = {},
  ): Promise<TestClient> {
    return withTicket(identity, (ticket) =>
      this.connect(path, { ...options, headers: { ...options.headers, ...ticket } }),
    );
  }

  /** Closes the application with its drain, as a deployment would. Cuts the clients that are left. */
  async close(): Promise<void> {
    await this.app.close();
    for (const client of this.#clients) client.terminate();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isApplication(root: object): root is INestApplication {
  return typeof (root as Partial<INestApplication>).getHttpServer === 'function';
}
