import {
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';

import { adapterOf } from '../upgrade/boot-check.js';
import type { IsolatedWsAdapter } from '../upgrade/isolated-ws.adapter.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { NestInternals } from '../nest/nest-internals.js';
import { Drain } from '../shutdown/drain.js';

/**
 * Opens and drains the gateways. Of all modules, Nest calls its start hooks last and its shutdown hooks first, which
 * `NestHost` arranges. So connections begin after all services of the app have started, and have ended before any of
 * them stops, in every kind of application.
 */
@Injectable()
export class LifeCycle
  implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown
{
  #adapter: IsolatedWsAdapter | undefined;

  constructor(
    private readonly internals: NestInternals,
    private readonly handshake: HandshakeService,
    private readonly drain: Drain,
  ) {}

  onModuleInit(): void {
    this.#adapter = adapterOf(this.internals);
    // A microservice closes its gateways before it calls any hook.
    this.#adapter.useDrain(() => this.drain.start());
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.#adapter?.listening();
    this.handshake.open();
  }

  onModuleDestroy(): Promise<void> {
    return this.drain.start();
  }

  // The port of the application is closed by now.
  onApplicationShutdown(): void {
    this.#adapter?.leave();
  }
}

@Module({ providers: [LifeCycle] })
export class LifeCycleModule {}
