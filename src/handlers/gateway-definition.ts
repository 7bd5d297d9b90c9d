import type { Type } from '@nestjs/common';
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
import { BINARY_EVENT, isBinaryHandler } from './subscribe-binary.decorator.js';

/** The hooks of a gateway instance that this library calls. */
export interface GatewayInstance {
  handleConnection?: (client: object, request: unknown) => unknown;
  handleDisconnect?: (client: object, code: number) => unknown;
}

/** A handler that is ready to run, with its exception filters. */
export interface HandlerPlan {
  readonly run: Pipeline;
  readonly filters: readonly BoundFilter[];
  /** Whether interceptors run around the method. Then the pipeline itself reports when the method has ended. */
  readonly isIntercepted: boolean;
}

/** The guards, interceptors and filters of `handleConnection`. */
export type ConnectPlan = Pick<Enhancers, 'guards' | 'interceptors' | 'filters'> & {
  /** The function that guards get from `getHandler()` of the execution context. */
  readonly callback: (...args: unknown[]) => unknown;
};

type Method = (...args: unknown[]) => unknown;

/** The declarations of a gateway class: its handlers and enhancers. Read once, at boot. */
export class GatewayDefinition {
  /** Name of the class, for error messages. */
  readonly name: string;
  /** The class itself. */
  readonly type: Type;
  readonly handlers: readonly HandlerDefinition[];
  /** Whether all connections share one instance. */
  readonly isStatic: boolean;
  /** The guards, interceptors, pipes and filters of its methods. */
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
    this.type = prototype.constructor as Type;
    this.enhancers = new GatewayEnhancers(internals, wrapper);
    this.handlers = handlersOf(this);
    this.#serverProperties = serverPropertiesOf(prototype);
    // Guards of the class run on connect even if the gateway has no `handleConnection`.
    this.#connectCallback = (prototype.handleConnection ?? handleConnection) as Method;
    this.#connectEnhancers = this.enhancers.around(this.#connectCallback, false);
  }

  /** Makes the enhancers and plans that all connections share. Called once, at boot. */
  async prepare(): Promise<void> {
    await this.enhancers.prepare();
    for (const handler of this.handlers) handler.prepare();
    if (!this.#connectEnhancers.areScoped) this.#connectPlan = this.#composeConnect(STATIC_CONTEXT);
  }

  /** The singleton. For a gateway with an instance per connection, an object that only has the prototype. */
  get placeholder(): GatewayInstance {
    return this.wrapper.instance as GatewayInstance;
  }

  /** Returns the gateway's instance for a connection: the singleton, or the connection's own instance. */
  instanceIn(scope: ConnectionScope): GatewayInstance {
    if (this.isStatic) return this.placeholder;
    const instance = scope.instanceOf(this.wrapper) as GatewayInstance & Record<string, unknown>;
    // Nest sets the properties with `@WebSocketServer()` of the placeholder only.
    for (const name of this.#serverProperties) instance[name] = this.server;
    return instance;
  }

  /** Returns the guards, interceptors and filters of `handleConnection` for one connection. */
  connectPlan(scope: ConnectionScope): ConnectPlan {
    return this.#connectPlan ?? this.#composeConnect(scope.contextId);
  }

  #composeConnect(contextId: ContextId): ConnectPlan {
    const { guards, interceptors, filters } = this.#connectEnhancers.in(contextId);
    return { guards, interceptors, filters, callback: this.#connectCallback };
  }
}

/** One `@SubscribeMessage()` or `@SubscribeBinary()` method of a gateway. */
export class HandlerDefinition {
  readonly #callback: Method;
  readonly #parameters: readonly ParameterDefinition[];
  readonly #enhancers: MethodEnhancers;
  #plan: HandlerPlan | undefined = undefined;

  constructor(
    gateway: GatewayDefinition,
    /** The event that it handles. */
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

  /** Composes the plan that all connections share, unless an enhancer has an instance per connection. */
  prepare(): void {
    if (!this.#enhancers.areScoped) this.#plan = this.#compose(STATIC_CONTEXT);
  }

  /** The plan that all connections share; `undefined` if each connection needs its own. */
  get sharedPlan(): HandlerPlan | undefined {
    return this.#plan;
  }

  /** Returns the plan for one connection: the shared one, if there is one. */
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
    .flatMap((name) =>
      eventsOf(prototype[name]!).map((event) => new HandlerDefinition(gateway, event, name)),
    );
}

// A method may handle an event and binary frames.
function eventsOf(method: Method): unknown[] {
  const events: unknown[] = Reflect.hasMetadata(MESSAGE_MAPPING_METADATA, method)
    ? [Reflect.getMetadata(MESSAGE_METADATA, method)]
    : [];
  return isBinaryHandler(method) ? [...events, BINARY_EVENT] : events;
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

// The function that guards get as the handler if the gateway has no connect hook.
function handleConnection(): void {
  // Nothing to do.
}
