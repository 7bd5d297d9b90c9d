/**
 * The only file that imports unpublished parts of Nest. {@link NestInternals.missingFeatures} looks for them at boot;
 * versions are never compared.
 */
import { Scope, type Type } from '@nestjs/common';
import {
  ENTRY_PROVIDER_WATERMARK,
  EXCEPTION_FILTERS_METADATA,
  FILTER_CATCH_EXCEPTIONS,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PARAMTYPES_METADATA,
  PIPES_METADATA,
  PROPERTY_DEPS_METADATA,
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
  ExecutionContextHost,
  FORBIDDEN_MESSAGE,
  type Injector,
  InstanceWrapper,
  type Module,
  REQUEST_CONTEXT_ID,
  STATIC_CONTEXT,
} from '@nestjs/core/internal';
export {
  ENTRY_PROVIDER_WATERMARK,
  EXCEPTION_FILTERS_METADATA,
  ExecutionContextHost,
  FILTER_CATCH_EXCEPTIONS,
  FORBIDDEN_MESSAGE,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PARAMTYPES_METADATA,
  PIPES_METADATA,
  PROPERTY_DEPS_METADATA,
  REQUEST_CONTEXT_ID,
  SELF_DECLARED_DEPS_METADATA,
  STATIC_CONTEXT,
};
export {
  GATEWAY_METADATA,
  GATEWAY_OPTIONS,
  GATEWAY_SERVER_METADATA,
  MESSAGE_MAPPING_METADATA,
  MESSAGE_METADATA,
  PARAM_ARGS_METADATA,
  PORT_METADATA,
} from '@nestjs/websockets/internal';
export { WsParamsFactory } from '@nestjs/websockets/factories/ws-params-factory.js';
export type { InstanceWrapper, Module as NestModule };

const BEYOND_ROOT = -1;

const KINDS = ['providers', 'controllers', 'injectables'] as const;
type Kind = (typeof KINDS)[number];

/** The accesses of this library to the internals of Nest's container. */
export class NestInternals {
  readonly #container: NestContainer;
  readonly #injector: Injector;

  constructor(moduleRef: ModuleRef) {
    const inside = moduleRef as unknown as { container: NestContainer; injector: Injector };
    this.#container = inside.container;
    this.#injector = inside.injector;
  }

  /** The parts of Nest that this library needs and that are missing. Empty on a supported version. */
  missingFeatures(): string[] {
    const features: Record<string, boolean> = {
      'ModuleRef.container': has(this.#container, 'getModules'),
      'NestContainer.applicationConfig': has(this.config, 'getIoAdapter'),
      'Injector.loadPerContext': has(this.#injector, 'loadPerContext'),
      REQUEST_CONTEXT_ID: typeof REQUEST_CONTEXT_ID === 'symbol',
      STATIC_CONTEXT: typeof STATIC_CONTEXT === 'object',
      'Injector.loadInstance': has(this.#injector, 'loadInstance'),
      'Module.distance': this.modules().every(({ distance }) => typeof distance === 'number'),
      'ApplicationConfig.getGlobalRequestGuards': has(this.config, 'getGlobalRequestGuards'),
      'InstanceWrapper.transientMap': hasTransientMap(),
    };
    return Object.keys(features).filter((name) => !features[name]);
  }

  /** The application's configuration, in which its WebSocket adapter is set. */
  get config(): ApplicationConfig {
    return (this.#container as unknown as { applicationConfig: ApplicationConfig })
      .applicationConfig;
  }

  modules(): Module[] {
    return [...this.#container.getModules().values()];
  }

  /** The imports that a module declares itself: Nest adds every global module to the imports of all modules. */
  declaredImports({ metatype, token }: Module): readonly unknown[] {
    const given = (Reflect.getMetadata('imports', metatype) ?? []) as readonly unknown[];
    const dynamic = this.#container.getDynamicMetadataByToken(token, 'imports') as
      readonly unknown[] | undefined;
    return [...given, ...(dynamic ?? [])];
  }

  /** Takes a module out of the application before its hooks run. */
  removeModule(module: Module): void {
    for (const [key, candidate] of this.#container.getModules()) {
      if (candidate === module) this.#container.getModules().delete(key);
    }
  }

  /** Makes Nest call the hooks of a module last when the application starts, and first when it ends. */
  putLast(metatype: Type): void {
    for (const module of this.modules()) {
      // Nest sorts by the distance from the root module, which is 0 or more.
      if (module.metatype === metatype) module.distance = BEYOND_ROOT;
    }
  }

  /** The provider whose (placeholder) instance is the given object. */
  findProvider(instance: object): InstanceWrapper | undefined {
    const providers = this.#wrappersIn('providers');
    return providers.find((wrapper) => !wrapper.isNotMetatype && wrapper.instance === instance);
  }

  /** Providers whose class fulfils a condition. */
  providersWhere(isWanted: (type: unknown) => boolean): InstanceWrapper[] {
    const providers = this.#wrappersIn('providers');
    return providers.filter((wrapper) => !wrapper.isNotMetatype && isWanted(wrapper.metatype));
  }

  /** Whether any module provides something under a token. */
  isToken(token: unknown): boolean {
    return this.modules().some(({ providers }) => providers.has(token as never));
  }

  /** All providers, controllers and enhancers with a token, in any module. */
  providersOf(token: unknown): InstanceWrapper[] {
    const collections = this.modules().flatMap((module) => KINDS.map((kind) => module[kind]));
    return collections.flatMap((collection) => collection.get(token as never) ?? []);
  }

  /** Every provider, controller and enhancer that is declared as durable. */
  declaredDurable(): InstanceWrapper[] {
    const all = this.#wrappersIn(...KINDS);
    return all.filter((wrapper) => wrapper.durable && wrapper.scope === Scope.REQUEST);
  }

  /** Every provider and enhancer that may have an instance per connection. */
  scopedWrappers(): InstanceWrapper[] {
    return this.#wrappersIn('providers', 'injectables').filter(isScoped);
  }

  /** The global enhancers of a kind that were declared without a scope: `APP_GUARD` and so on. */
  globalProviders(token: string): InstanceWrapper[] {
    const beginning = `${token} (UUID: `;
    const found: InstanceWrapper[] = [];
    for (const { providers } of this.modules()) {
      for (const [key, wrapper] of providers) {
        if (typeof key === 'string' && key.startsWith(beginning)) found.push(wrapper);
      }
    }
    return found;
  }

  #wrappersIn(...kinds: readonly Kind[]): InstanceWrapper[] {
    const collections = this.modules().flatMap((module) => kinds.map((kind) => module[kind]));
    return collections.flatMap((collection) => Array.from(collection.values()));
  }

  /** The provider of Nest's `REQUEST`. */
  get requestWrapper(): InstanceWrapper {
    const { internalCoreModule } = this.#container as unknown as { internalCoreModule: Module };
    return internalCoreModule.getProviderByKey(REQUEST);
  }

  /** Applies the app's instance decorator, as Nest does to every instance it creates. Most apps have none. */
  decorate(instance: unknown): unknown {
    const { instanceDecorator } = this.#injector as unknown as {
      instanceDecorator?: (instance: unknown) => unknown;
    };
    return instanceDecorator ? instanceDecorator(instance) : instance;
  }

  /** The provider's instance in a scope, created now with its dependencies if needed. */
  loadInstance(wrapper: InstanceWrapper, contextId: ContextId): Promise<unknown> {
    const host = wrapper.host!;
    const collection = collectionOf(wrapper);
    const { instance } = wrapper as { instance: object };
    return this.#injector.loadPerContext(instance, host, collection, contextId, wrapper);
  }

  /** The provider of an enhancer class that is bound to a gateway or to one of its methods. */
  enhancerProvider(
    { host }: InstanceWrapper,
    type: Type,
    kind: 'guard' | 'interceptor' | 'pipe' | 'filter',
  ): InstanceWrapper {
    // Nest looks for enhancers on the classes in `providers`, not on those behind `useClass`.
    return host!.injectables.get(type) ?? (host!.addInjectable(type, kind) as InstanceWrapper);
  }

  /** Creates an enhancer's instance for a gateway, with its dependencies, if needed. */
  async loadEnhancer(
    wrapper: InstanceWrapper,
    gateway: InstanceWrapper,
    contextId: ContextId,
  ): Promise<void> {
    await this.#injector.loadInstance(wrapper, collectionOf(wrapper), wrapper.host!, {
      contextId,
      inquirer: gateway,
    });
  }
}

function collectionOf(wrapper: InstanceWrapper): Module['providers'] {
  const { providers, controllers, injectables } = wrapper.host!;
  const collections: Module['providers'][] = [injectables, controllers];
  return collections.find((kept) => kept.get(wrapper.token) === wrapper) ?? providers;
}

function isScoped(wrapper: InstanceWrapper): boolean {
  return (wrapper.isTransient || !wrapper.isDependencyTreeStatic()) && !wrapper.isAlias;
}

/** Whether a provider is created by a plain call, once per scope. */
export function isPlannable(wrapper: InstanceWrapper): boolean {
  return !wrapper.isTransient && !wrapper.forwardRef && !wrapper.isDependencyTreeDurable();
}

function hasTransientMap(): boolean {
  const wrapper = new InstanceWrapper({ name: 'probe', scope: Scope.TRANSIENT });
  return (wrapper as unknown as { transientMap?: unknown }).transientMap instanceof Map;
}

function has(object: unknown, method: string): boolean {
  return typeof (object as Record<string, unknown> | undefined)?.[method] === 'function';
}
