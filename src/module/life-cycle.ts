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
 * The last to be told that the application starts, and the first to be told that it ends: `NestHost` sees to that. So
 * connections begin when everything of the app is there, and have ended before any of it goes, whatever kind of
 * application it is.
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
