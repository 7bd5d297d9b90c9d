import { type DynamicModule, Inject, Module, Optional } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { ScheduleModule } from '@nestjs/schedule';

import { ClientAddresses } from '../address/client-addresses.js';
import { CleanupService } from '../cleanup/cleanup.service.js';
import { CLOCK } from '../time/clock.js';
import { CLUSTER } from '../cluster/cluster.js';
import { websocketIsolationConfig } from '../config/isolation.config.js';
import {
  ISOLATION_OPTIONS,
  type ResolvedOptions,
  type WebSocketIsolationOptions,
} from '../config/isolation.options.js';
import { IsolationError } from '../errors/isolation-error.js';
import { WebSocketEmitter } from '../delivery/websocket.emitter.js';
import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { TrafficCounters } from '../connection/traffic-counters.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { IsolationEventBus } from '../journal/event-bus.js';
import { Journal } from '../journal/journal.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManager } from '../manager/web-socket-manager.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { LeakDetector } from '../monitoring/leak.detector.js';
import { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import { Tracing } from '../monitoring/tracing.js';
import { UserExecutionContext } from '../context/user-execution-context.js';
import { NestInternals } from '../nest/nest-internals.js';
import { Drain } from '../shutdown/drain.js';
import { TopicPresence } from '../topics/topic-presence.js';
import { TopicRequests } from '../topics/topic-requests.js';
import { Topics } from '../topics/topics.service.js';
import { assertOneCopyOfCore } from './core-copies.js';
import { coreProviders } from './core.providers.js';
import { LifeCycleModule } from './life-cycle.js';
import { ConfigurableModuleClass } from './module-definition.js';

/**
 * Isolation for WebSocket gateways. Import it once, in the root module; it is global.
 *
 * @example
 * ```ts
 * imports: [WebSocketIsolationModule.forRoot({ authenticator: TokenAuthenticator })]
 * ```
 */
@Module({})
export class WebSocketIsolationModule extends ConfigurableModuleClass {
  /**
   * @internal @throws {IsolationError} `MODULE_WITHOUT_OPTIONS` where no module of the application calls `forRoot()`
   */
  constructor(@Optional() @Inject(ISOLATION_OPTIONS) options?: ResolvedOptions) {
    super();
    if (!options) throw withoutOptions();
  }

  /** Imports the module with options. Without an authenticator, every connection is an anonymous user of its own. */
  static override forRoot(options: WebSocketIsolationOptions = {}): DynamicModule {
    return complete(super.forRoot(options));
  }

  /** Imports the module with options that other providers make: `useFactory`, `useClass` or `useExisting`. */
  static override forRootAsync(
    options: Parameters<typeof ConfigurableModuleClass.forRootAsync>[0],
  ): DynamicModule {
    return complete(super.forRootAsync(options));
  }
}

function withoutOptions(): IsolationError {
  return new IsolationError(
    'MODULE_WITHOUT_OPTIONS',
    'WebSocketIsolationModule is imported as a class, which provides nothing. ' +
      'Write imports: [WebSocketIsolationModule.forRoot()] in the root module.',
  );
}

function complete(definition: DynamicModule): DynamicModule {
  assertOneCopyOfCore();
  return {
    ...definition,
    imports: [
      ...(definition.imports ?? []),
      ConfigModule.forFeature(websocketIsolationConfig),
      LifeCycleModule,
      // Not global: it runs the jobs of this library, and `NestHost` removes it if the app imports its own.
      { ...ScheduleModule.forRoot(), global: false },
    ],
    providers: [...(definition.providers ?? []), ...coreProviders],
    exports: [
      UserExecutionContext,
      WebSocketManager,
      WebSocketManagerFactory,
      WebSocketEmitter,
      TopicPresence,
      ClientAddresses,
      ThreadConsistencyTracker,
      LeakDetector,
      IsolationEventBus,
      // For the other entry points of this package.
      CleanupService,
      CLOCK,
      CLUSTER,
      Drain,
      GatewayRuntime,
      HandshakeService,
      ISOLATION_OPTIONS,
      Journal,
      Limits,
      ManagerRegistry,
      NestInternals,
      TopicRequests,
      Topics,
      TrafficCounters,
      Tracing,
    ],
  };
}
