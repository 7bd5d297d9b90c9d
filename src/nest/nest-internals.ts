/**
 * The only file that imports what Nest does not publish. Everything it relies on is looked for at boot
 * by {@link NestInternals.missingFeatures}; versions are never compared.
 */
import type { CanActivate, ExceptionFilter, NestInterceptor, PipeTransform } from '@nestjs/common';
import {
  ENTRY_PROVIDER_WATERMARK,
  EXCEPTION_FILTERS_METADATA,
  PARAMTYPES_METADATA,
  SELF_DECLARED_DEPS_METADATA,
} from '@nestjs/common/internal';
import {
  type ApplicationConfig,
  type ContextId,
  type ModuleRef,
  type NestContainer,
  REQUEST,
} from '@nestjs/core';
import {
  BaseExceptionFilterContext,
  ExecutionContextHost,
  FORBIDDEN_MESSAGE,
  GuardsContextCreator,
  type Injector,
  type InstanceWrapper,
  InterceptorsContextCreator,
  type Module,
  PipesContextCreator,
  REQUEST_CONTEXT_ID,
  STATIC_CONTEXT,
} from '@nestjs/core/internal';
import {
  GATEWAY_METADATA,
  GATEWAY_OPTIONS,
  GATEWAY_SERVER_METADATA,
  MESSAGE_MAPPING_METADATA,
  MESSAGE_METADATA,
  PARAM_ARGS_METADATA,
  PORT_METADATA,
} from '@nestjs/websockets/internal';

export {
  ENTRY_PROVIDER_WATERMARK,
  ExecutionContextHost,
  FORBIDDEN_MESSAGE,
  GATEWAY_METADATA,
  GATEWAY_OPTIONS,
  GATEWAY_SERVER_METADATA,
  MESSAGE_MAPPING_METADATA,
  MESSAGE_METADATA,
  PARAM_ARGS_METADATA,
  PARAMTYPES_METADATA,
  PORT_METADATA,
  REQUEST_CONTEXT_ID,
  STATIC_CONTEXT,
};
export type { InstanceWrapper, Module as NestModule };

/** A filter as Nest hands it out: what it catches, and the function that does. */
export interface BoundFilter {
  readonly func: ExceptionFilter['catch'];
  readonly exceptionMetatypes: readonly (abstract new (...args: never[]) => unknown)[];
}

/** Everything that runs around one handler, in the order in which it runs. */
export interface Enhancers {
  readonly guards: readonly CanActivate[];
  readonly interceptors: readonly NestInterceptor[];
  readonly pipes: readonly PipeTransform[];
  /** The most specific first. */
  readonly filters: readonly BoundFilter[];
}

/** For which handler enhancers are looked up, and in which scope. */
export interface EnhancerTarget {
  readonly wrapper: InstanceWrapper;
  /** Any object with the gateway's prototype. */
  readonly instance: object;
  readonly callback: (...args: unknown[]) => unknown;
  readonly contextId: ContextId;
  /** Global and `APP_*` enhancers too? They run on messages only, not on connect. */
  readonly withGlobals: boolean;
}

class GatewayFilterContext extends BaseExceptionFilterContext {
  forHandler({ wrapper, instance, callback, contextId }: EnhancerTarget): BoundFilter[] {
    this.moduleContext = moduleKeyOf(wrapper);
    return this.createContext(
      instance,
      callback,
      EXCEPTION_FILTERS_METADATA,
      contextId,
      wrapper.id,
    ) as unknown as BoundFilter[];
  }

  // Global filters never apply to gateways in Nest.
  override getGlobalMetadata(): never {
    return [] as never;
  }
}

/** What this library does with the inside of Nest's container. */
export class NestInternals {
  readonly #container: NestContainer;
  readonly #injector: Injector;
  readonly #pipes: PipesContextCreator;

  constructor(moduleRef: ModuleRef) {
    const inside = moduleRef as unknown as { container: NestContainer; injector: Injector };
    this.#container = inside.container;
    this.#injector = inside.injector;
    this.#pipes = new PipesContextCreator(this.#container, this.config);
  }

  /** Which of the parts of Nest that this library needs are not there. Empty on a supported version. */
  missingFeatures(): string[] {
    const features: Record<string, boolean> = {
      'ModuleRef.container': has(this.#container, 'getModules'),
      'NestContainer.applicationConfig': has(this.config, 'getIoAdapter'),
      'Injector.loadPerContext': has(this.#injector, 'loadPerContext'),
      REQUEST_CONTEXT_ID: typeof REQUEST_CONTEXT_ID === 'symbol',
      STATIC_CONTEXT: typeof STATIC_CONTEXT === 'object',
      GuardsContextCreator: has(GuardsContextCreator.prototype, 'create'),
      InterceptorsContextCreator: has(InterceptorsContextCreator.prototype, 'create'),
      PipesContextCreator: has(PipesContextCreator.prototype, 'create'),
    };
    return Object.keys(features).filter((name) => !features[name]);
  }

  /** The application's configuration: where its WebSocket adapter is set. */
  get config(): ApplicationConfig {
    return (this.#container as unknown as { applicationConfig: ApplicationConfig })
      .applicationConfig;
  }

  modules(): IterableIterator<Module> {
    return this.#container.getModules().values();
  }

  /** Takes a module out of the application before its hooks run. */
  removeModule(module: Module): void {
    for (const [key, candidate] of this.#container.getModules()) {
      if (candidate === module) this.#container.getModules().delete(key);
    }
  }

  /** The provider that an object is the (placeholder) instance of. */
  findProvider(instance: object): InstanceWrapper | undefined {
    for (const { providers } of this.modules()) {
      for (const wrapper of providers.values()) {
        if (!wrapper.isNotMetatype && wrapper.instance === instance) return wrapper;
      }
    }
    return undefined;
  }

  /** Providers whose class fulfils a condition. */
  providersWhere(isWanted: (type: unknown) => boolean): InstanceWrapper[] {
    const found: InstanceWrapper[] = [];
    for (const { providers } of this.modules()) {
      for (const wrapper of providers.values()) {
        if (!wrapper.isNotMetatype && isWanted(wrapper.metatype)) found.push(wrapper);
      }
    }
    return found;
  }

  /** Every provider and enhancer that may have an instance per connection. */
  scopedWrappers(): InstanceWrapper[] {
    const scoped: InstanceWrapper[] = [];
    for (const { providers, injectables } of this.modules()) {
      for (const wrapper of [...providers.values(), ...injectables.values()]) {
        if (!wrapper.isDependencyTreeStatic() && !wrapper.isAlias) scoped.push(wrapper);
      }
    }
    return scoped;
  }

  /** What Nest's `REQUEST` stands for. */
  get requestWrapper(): InstanceWrapper {
    const { internalCoreModule } = this.#container as unknown as { internalCoreModule: Module };
    return internalCoreModule.getProviderByKey(REQUEST);
  }

  /** What Nest does to every instance it has made: an instrumentation of the app, mostly nothing. */
  decorate(instance: unknown): unknown {
    const { instanceDecorator } = this.#injector as unknown as {
      instanceDecorator?: (instance: unknown) => unknown;
    };
    return instanceDecorator ? instanceDecorator(instance) : instance;
  }

  /** The provider's instance in a scope, made now if need be together with what it needs. */
  loadInstance(wrapper: InstanceWrapper, contextId: ContextId): Promise<unknown> {
    const host = wrapper.host!;
    return this.#injector.loadPerContext(
      wrapper.instance as object,
      host,
      host.providers,
      contextId,
      wrapper,
    );
  }

  /** Whether some enhancer of a provider's handlers has an instance per connection. */
  hasScopedEnhancers(wrapper: InstanceWrapper, withGlobals: boolean): boolean {
    const own = wrapper.getEnhancersMetadata() ?? [];
    if (own.some((enhancer) => !enhancer.isDependencyTreeStatic())) return true;
    if (!withGlobals) return false;
    const { config } = this;
    const scoped = [
      config.getGlobalRequestGuards(),
      config.getGlobalRequestInterceptors(),
      config.getGlobalRequestPipes(),
    ];
    return scoped.some((enhancers) => enhancers.length > 0);
  }

  /** The enhancers of a handler, class and method (and global) together. */
  enhancersOf(target: EnhancerTarget): Enhancers {
    const { wrapper, instance, callback, contextId, withGlobals } = target;
    const config = withGlobals ? this.config : undefined;
    const container = this.#container as never;
    const args = [instance, callback, moduleKeyOf(wrapper), contextId, wrapper.id] as const;
    return {
      guards: new GuardsContextCreator(container, config).create(...args),
      interceptors: new InterceptorsContextCreator(container, config).create(...args),
      pipes: new PipesContextCreator(container, config).create(...args),
      // Nest tries the filter that was declared nearest to the handler first.
      filters: new GatewayFilterContext(container).forHandler(target).toReversed(),
    };
  }

  /** The pipes that stand inside a parameter decorator. */
  parameterPipes(
    wrapper: InstanceWrapper,
    pipes: readonly unknown[],
    contextId: ContextId,
  ): PipeTransform[] {
    this.#pipes.setModuleContext(moduleKeyOf(wrapper));
    return this.#pipes.createConcreteContext(pipes as never, contextId, wrapper.id);
  }
}

/** Key of the module that declares a provider. */
export function moduleKeyOf(wrapper: InstanceWrapper): string {
  return wrapper.host!.token;
}

/** Whether a provider is made by a plain call, once per scope. */
export function isPlannable(wrapper: InstanceWrapper): boolean {
  return !wrapper.isTransient && !wrapper.forwardRef && !wrapper.isDependencyTreeDurable();
}

/** How many arguments a provider's constructor or factory takes. */
export function dependencyCount({ inject, metatype }: InstanceWrapper): number {
  if (inject) return inject.length;
  const types = (Reflect.getMetadata(PARAMTYPES_METADATA, metatype as object) ?? []) as unknown[];
  const declared = (Reflect.getMetadata(SELF_DECLARED_DEPS_METADATA, metatype as object) ?? []) as {
    index: number;
  }[];
  return Math.max(types.length, ...declared.map(({ index }) => index + 1));
}

/** Tells Nest of an instance that was made without it. */
export function adoptInstance(
  wrapper: InstanceWrapper,
  contextId: ContextId,
  instance: unknown,
): void {
  const host = { instance, isResolved: true, isPending: false, isConstructorCalled: true };
  wrapper.setInstanceByContextId(contextId, host as never);
}

/** The scope that holds a provider's instance: for durable ones maybe one that connections share. */
export function holdingScope(wrapper: InstanceWrapper, contextId: ContextId): ContextId {
  const isTreeDurable = wrapper.isDependencyTreeDurable();
  return contextId.getParent?.({ token: wrapper.token, isTreeDurable }) ?? contextId;
}

/** The instance a provider has in a scope, without making one. */
export function existingInstance(wrapper: InstanceWrapper, contextId: ContextId): unknown {
  const { values } = wrapper as unknown as {
    values: WeakMap<object, { instance: unknown; isResolved?: boolean }>;
  };
  const host = values.get(holdingScope(wrapper, contextId));
  return host?.isResolved ? host.instance : undefined;
}

function has(object: unknown, method: string): boolean {
  return typeof (object as Record<string, unknown> | undefined)?.[method] === 'function';
}
