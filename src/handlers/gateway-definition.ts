import { type ContextId, MetadataScanner } from '@nestjs/core';

import {
  type BoundFilter,
  type Enhancers,
  GatewayEnhancers,
  type MethodEnhancers,
} from '../nest/gateway-enhancers.js';
import {
  GATEWAY_SERVER_METADATA,
  type InstanceWrapper,
  MESSAGE_MAPPING_METADATA,
  MESSAGE_METADATA,
  type NestInternals,
  STATIC_CONTEXT,
} from '../nest/nest-internals.js';
import type { ConnectionScope } from '../scope/connection-scope.js';
import { ANNOUNCING_PROPERTY } from '../upgrade/gateway-announcement.js';
import { argumentsReader, type ParameterDefinition, parametersOf } from './handler-parameters.js';
import { composePipeline, type Pipeline } from './handler-pipeline.js';

/** A gateway's instance as this library calls it. */
export interface GatewayInstance {
  handleConnection?: (client: object, request: unknown) => unknown;
  handleDisconnect?: (client: object, code: number) => unknown;
}

/** A handler ready to run, with the filters that stand by. */
export interface HandlerPlan {
  readonly run: Pipeline;
  readonly filters: readonly BoundFilter[];
  /** Interceptors stand around it, and say when the method has ended. */
  readonly isIntercepted: boolean;
}

/** What stands in front of `handleConnection`. */
export type ConnectPlan = Pick<Enhancers, 'guards' | 'interceptors' | 'filters'> & {
  /** What guards see as the handler. */
  readonly callback: (...args: unknown[]) => unknown;
};

type Method = (...args: unknown[]) => unknown;

/** What is known of a gateway class before anybody connects: read once, at boot. */
export class GatewayDefinition {
  /** Its name, for messages. */
  readonly name: string;
  readonly handlers: readonly HandlerDefinition[];
  /** One instance for all connections. */
  readonly isStatic: boolean;
  /** What stands around its methods. */
  readonly enhancers: GatewayEnhancers;
  readonly #serverProperties: readonly string[];
  readonly #connectCallback: Method;
  readonly #connectEnhancers: MethodEnhancers;
  #connectPlan: ConnectPlan | undefined = undefined;

  constructor(
    internals: NestInternals,
    readonly wrapper: InstanceWrapper,
    private readonly server: unknown,
  ) {
    this.isStatic = wrapper.isDependencyTreeStatic();
    const prototype = this.placeholder;
    this.name = wrapper.name as string;
    this.enhancers = new GatewayEnhancers(internals, wrapper);
    this.handlers = handlersOf(this);
    this.#serverProperties = serverPropertiesOf(prototype);
    // Guards of the class stand in front of the connection also where the gateway has no hook of its own.
    this.#connectCallback = (prototype.handleConnection ?? handleConnection) as Method;
    this.#connectEnhancers = this.enhancers.around(this.#connectCallback, false);
  }

  /** Makes what connections share: once, at boot. */
  async prepare(): Promise<void> {
    await this.enhancers.prepare();
    for (const handler of this.handlers) handler.prepare();
    if (!this.#connectEnhancers.areScoped) this.#connectPlan = this.#composeConnect(STATIC_CONTEXT);
  }

  /** The singleton, or for a gateway with an instance per connection an object with its prototype. */
  get placeholder(): GatewayInstance {
    return this.wrapper.instance as GatewayInstance;
  }

  /** The gateway's instance for a connection: the singleton, or its own one. */
  instanceIn(scope: ConnectionScope): GatewayInstance {
    if (this.isStatic) return this.placeholder;
    const instance = scope.instanceOf(this.wrapper) as GatewayInstance & Record<string, unknown>;
    // Nest fills these of the placeholder only.
    for (const name of this.#serverProperties) instance[name] = this.server;
    return instance;
  }

  /** What runs before `handleConnection` in a connection. */
  connectPlan(scope: ConnectionScope): ConnectPlan {
    return this.#connectPlan ?? this.#composeConnect(scope.contextId);
  }

  #composeConnect(contextId: ContextId): ConnectPlan {
    const { guards, interceptors, filters } = this.#connectEnhancers.in(contextId);
    return { guards, interceptors, filters, callback: this.#connectCallback };
  }
}

/** One `@SubscribeMessage()` method of a gateway. */
export class HandlerDefinition {
  readonly #callback: Method;
  readonly #parameters: readonly ParameterDefinition[];
  readonly #enhancers: MethodEnhancers;
  #plan: HandlerPlan | undefined = undefined;

  constructor(
    gateway: GatewayDefinition,
    /** The event it answers to. */
    readonly event: unknown,
    methodName: string,
  ) {
    const { placeholder } = gateway;
    const prototype = Object.getPrototypeOf(placeholder) as Record<string, Method>;
    this.#callback = prototype[methodName]!;
    this.#parameters = parametersOf(prototype, methodName);
    const pipes = this.#parameters.map((parameter) => parameter.pipes);
    this.#enhancers = gateway.enhancers.around(this.#callback, true, pipes);
  }

  /** Composes the plan that all connections share, where one can. */
  prepare(): void {
    if (!this.#enhancers.areScoped) this.#plan = this.#compose(STATIC_CONTEXT);
  }

  /** The plan that all connections share; `undefined` where each needs its own. */
  get sharedPlan(): HandlerPlan | undefined {
    return this.#plan;
  }

  /** A plan for one connection. */
  planFor(scope: ConnectionScope): HandlerPlan {
    return this.#plan ?? this.#compose(scope.contextId);
  }

  #compose(contextId: ContextId): HandlerPlan {
    const callback = this.#callback;
    const { guards, interceptors, pipes, filters, parameterPipes } = this.#enhancers.in(contextId);
    const bound = this.#parameters.map((parameter, place) => ({
      ...parameter,
      pipes: [...pipes, ...parameterPipes[place]!],
    }));
    const run = composePipeline({
      callback,
      guards,
      interceptors,
      parameters: argumentsReader(bound),
    });
    return { run, filters, isIntercepted: interceptors.length > 0 };
  }
}

function handlersOf(gateway: GatewayDefinition): HandlerDefinition[] {
  const prototype = Object.getPrototypeOf(gateway.placeholder) as Record<string, Method>;
  return new MetadataScanner()
    .getAllMethodNames(prototype)
    .filter((name) => Reflect.hasMetadata(MESSAGE_MAPPING_METADATA, prototype[name]!))
    .map((name) => {
      const event: unknown = Reflect.getMetadata(MESSAGE_METADATA, prototype[name]!);
      return new HandlerDefinition(gateway, event, name);
    });
}

// The properties with `@WebSocketServer()`.
function serverPropertiesOf(prototype: object): string[] {
  const names: string[] = [];
  for (const name in prototype) {
    if (name === ANNOUNCING_PROPERTY) continue;
    if (Reflect.hasMetadata(GATEWAY_SERVER_METADATA, prototype, name)) names.push(name);
  }
  return names;
}

// What guards see as the handler of a gateway that has no connect hook.
function handleConnection(): void {
  // Nothing to do.
}
