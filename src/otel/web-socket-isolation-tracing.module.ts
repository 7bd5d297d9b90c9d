import {
  type DynamicModule,
  Inject,
  Injectable,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';

import type { Release } from '../time/clock.js';
import { assertPlainOptions, type OptionRules, trueOrFalse } from '../config/plain-options.js';
import { IsolationEventBus } from '../journal/event-bus.js';
import { Tracing } from '../monitoring/tracing.js';
import { optionalPeer } from '../config/optional-peer.js';
import type { WebSocketIsolationTracingOptions } from './open-telemetry.tracer.js';

/** Injection token of the {@link WebSocketIsolationTracingOptions}. */
const TRACING_OPTIONS: unique symbol = Symbol('websocket-isolation:tracing-options');

const RULES: OptionRules<WebSocketIsolationTracingOptions> = { includeIdentity: trueOrFalse };

@Injectable()
class TracingConnector implements OnModuleInit, OnApplicationShutdown {
  #releases: Release[] = [];

  constructor(
    @Inject(TRACING_OPTIONS) private readonly options: WebSocketIsolationTracingOptions,
    private readonly tracing: Tracing,
    private readonly bus: IsolationEventBus,
  ) {}

  async onModuleInit(): Promise<void> {
    const { trace } = await optionalPeer(
      'otel',
      '@opentelemetry/api',
      () => import('@opentelemetry/api'),
    );
    const { OpenTelemetryTracer } = await import('./open-telemetry.tracer.js');
    const tracer = new OpenTelemetryTracer(
      trace.getTracer('nestjs-websocket-isolation'),
      this.options,
    );
    this.#releases = [
      this.tracing.use(tracer),
      this.bus.on('manager-disposed', (details) => tracer.disposed(details)),
      this.bus.on('cleanup-finished', (report) => tracer.cleaned(report)),
    ];
  }

  onApplicationShutdown(): void {
    this.#releases.splice(0).forEach((release) => release());
  }
}

/**
 * Spans for handshakes, connect hooks, messages, clean-ups and the end of connections, through `@opentelemetry/api`.
 * The app's SDK exports them; without an SDK they are discarded.
 *
 * @example
 * ```ts
 * imports: [WebSocketIsolationModule.forRoot(), WebSocketIsolationTracingModule.forRoot()]
 * ```
 */
@Module({})
export class WebSocketIsolationTracingModule {
  /**
   * Import it once, in addition to `WebSocketIsolationModule`.
   *
   * @throws {InvalidOptionsError} naming every option that breaks its rule
   */
  static forRoot(options: WebSocketIsolationTracingOptions = {}): DynamicModule {
    assertPlainOptions('WebSocketIsolationTracingModule.forRoot()', options, RULES);
    return {
      module: WebSocketIsolationTracingModule,
      providers: [{ provide: TRACING_OPTIONS, useValue: options }, TracingConnector],
    };
  }
}
