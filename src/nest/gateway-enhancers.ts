import type {
  CanActivate,
  ExceptionFilter,
  NestInterceptor,
  PipeTransform,
  Type,
} from '@nestjs/common';
import type { ContextId } from '@nestjs/core';

import { type EnhancerKind, FILTER, GUARD, INTERCEPTOR, PIPE } from './enhancer-kinds.js';
import {
  FILTER_CATCH_EXCEPTIONS,
  type InstanceWrapper,
  type NestInternals,
  STATIC_CONTEXT,
} from './nest-internals.js';
import { holdingScope } from './scope-instances.js';

/** An exception filter: the types that it catches, and its `catch` function. */
export interface BoundFilter {
  readonly func: ExceptionFilter['catch'];
  /** Empty: catches everything. */
  readonly exceptionMetatypes: readonly (abstract new (...args: never[]) => unknown)[];
}

/** Everything that runs around one handler, in the order in which it runs. */
export interface Enhancers {
  readonly guards: readonly CanActivate[];
  readonly interceptors: readonly NestInterceptor[];
  readonly pipes: readonly PipeTransform[];
  /** The most specific first. */
  readonly filters: readonly BoundFilter[];
  /** For each parameter, the pipes in its decorator. */
  readonly parameterPipes: readonly (readonly PipeTransform[])[];
}

type Method = (...args: unknown[]) => unknown;

/** An enhancer as it was declared: an object, or a provider that has instances. */
type Declared = { readonly instance: unknown } | { readonly provider: InstanceWrapper };

/**
 * The guards, interceptors, pipes and filters of one gateway. One rule for all: an enhancer and its dependencies are
 * constructed before it runs, whatever its scope and wherever it was declared. Nest itself uses what its container
 * holds at that moment: an object that was never constructed for some enhancers, and nothing for others.
 */
export class GatewayEnhancers {
  readonly #providers = new Set<InstanceWrapper>();
  readonly #globals = new Map<EnhancerKind, readonly Declared[]>();

  constructor(
    private readonly internals: NestInternals,
    readonly gateway: InstanceWrapper,
  ) {}

  /**
   * The enhancers of one of the gateway's methods.
   *
   * @param withGlobals includes global and `APP_*` enhancers, which run on messages only, not on connect
   * @param parameterPipes for each parameter, the pipes in its decorator
   */
  around(
    callback: Method,
    withGlobals: boolean,
    parameterPipes: readonly (readonly unknown[])[] = [],
  ): MethodEnhancers {
    const find = (kind: EnhancerKind): Declared[] => this.#declared(kind, callback, withGlobals);
    return new MethodEnhancers(this, {
      guards: find(GUARD),
      interceptors: find(INTERCEPTOR),
      pipes: find(PIPE),
      filters: find(FILTER),
      parameterPipes: parameterPipes.map((pipes) => pipes.map((pipe) => this.#resolve(PIPE, pipe))),
    });
  }

  /** Whether any enhancer has an instance per connection. */
  get areScoped(): boolean {
    return [...this.#providers].some((provider) => !this.isShared(provider));
  }

  /** Creates the shared enhancers that Nest has not created: once, at boot. */
  async prepare(): Promise<void> {
    for (const provider of this.#providers) {
      if (this.isShared(provider)) {
        await this.internals.loadEnhancer(provider, this.gateway, STATIC_CONTEXT);
      }
    }
  }

  /** Creates the enhancers that have an instance per connection. */
  async load(contextId: ContextId): Promise<void> {
    for (const provider of this.#providers) {
      if (!this.isShared(provider)) {
        await this.internals.loadEnhancer(provider, this.gateway, contextId);
      }
    }
  }

  /** Whether connections share one instance. A transient enhancer has one for each instance of its gateway. */
  isShared(provider: InstanceWrapper): boolean {
    if (!provider.isDependencyTreeStatic()) return false;
    return !provider.isTransient || this.gateway.isDependencyTreeStatic();
  }

  #declared(kind: EnhancerKind, callback: Method, withGlobals: boolean): Declared[] {
    const prototype = Object.getPrototypeOf(this.gateway.instance) as object;
    const own = [prototype.constructor, callback].flatMap(
      (target) => (Reflect.getMetadata(kind.metadata, target) ?? []) as unknown[],
    );
    const globals = withGlobals ? this.#globalsOf(kind) : [];
    return [...globals, ...own.map((enhancer) => this.#resolve(kind, enhancer))];
  }

  // Once for each gateway and not for each handler: to find them is to go through all providers of the application.
  #globalsOf(kind: EnhancerKind): readonly Declared[] {
    let globals = this.#globals.get(kind);
    if (!globals) this.#globals.set(kind, (globals = this.#findGlobals(kind)));
    return globals;
  }

  // Enhancers without a scope of their own first, as in Nest.
  #findGlobals({ token, global, scoped }: EnhancerKind): Declared[] {
    if (!token || !global || !scoped) return [];
    const { config } = this.internals;
    // Declared without a scope, but with a dependency that has one: Nest keeps an empty object for it, or nothing at
    // all, and never creates an instance.
    const unmade = this.internals
      .globalProviders(token)
      .filter((provider) => !provider.isDependencyTreeStatic());
    const known = global(config).map((instance): Declared => {
      const place = unmade.findIndex(
        (provider) => (provider.instance ?? null) === (instance ?? null),
      );
      return place === -1 ? { instance } : this.#use(unmade.splice(place, 1)[0]!);
    });
    return [...known, ...scoped(config).map((provider) => this.#use(provider))];
  }

  #resolve({ name, method }: EnhancerKind, enhancer: unknown): Declared {
    const isClass = typeof enhancer === 'function' && !(method in enhancer);
    if (!isClass) return { instance: enhancer };
    return this.#use(this.internals.enhancerProvider(this.gateway, enhancer as Type, name));
  }

  #use(provider: InstanceWrapper): Declared {
    this.#providers.add(provider);
    return { provider };
  }
}

/** The enhancers of one method of a gateway. */
export class MethodEnhancers {
  constructor(
    private readonly owner: GatewayEnhancers,
    private readonly declared: Readonly<
      Record<'guards' | 'interceptors' | 'pipes' | 'filters', readonly Declared[]>
    > & { readonly parameterPipes: readonly (readonly Declared[])[] },
  ) {}

  /** Whether any enhancer has an instance per connection. */
  get areScoped(): boolean {
    const { guards, interceptors, pipes, filters, parameterPipes } = this.declared;
    return [guards, interceptors, pipes, filters, ...parameterPipes]
      .flat()
      .some((enhancer) => 'provider' in enhancer && !this.owner.isShared(enhancer.provider));
  }

  /** The instances in a scope for which they were created. */
  in(contextId: ContextId): Enhancers {
    const { guards, interceptors, pipes, filters, parameterPipes } = this.declared;
    const find = <Enhancer>(kind: EnhancerKind, declared: readonly Declared[]): Enhancer[] =>
      this.#instances(kind, declared, contextId) as Enhancer[];
    return {
      guards: find(GUARD, guards),
      interceptors: find(INTERCEPTOR, interceptors),
      pipes: find(PIPE, pipes),
      // Nest tries the filter that was declared nearest to the handler first.
      filters: find<ExceptionFilter>(FILTER, filters).map(boundFilter).toReversed(),
      parameterPipes: parameterPipes.map((declared) => find(PIPE, declared)),
    };
  }

  // A factory may return nothing: that enhancer is switched off.
  #instances(
    { method }: EnhancerKind,
    declared: readonly Declared[],
    contextId: ContextId,
  ): unknown[] {
    return declared
      .map((enhancer) =>
        'provider' in enhancer ? this.#instanceOf(enhancer.provider, contextId) : enhancer.instance,
      )
      .filter(
        (instance) => typeof (instance as Record<string, unknown> | null)?.[method] === 'function',
      );
  }

  #instanceOf(provider: InstanceWrapper, contextId: ContextId): unknown {
    const scope = this.owner.isShared(provider)
      ? STATIC_CONTEXT
      : holdingScope(provider, contextId);
    return provider.getInstanceByContextId(scope, this.owner.gateway.id).instance as unknown;
  }
}

function boundFilter(filter: ExceptionFilter): BoundFilter {
  const type = (Object.getPrototypeOf(filter) as object).constructor;
  const caught = Reflect.getMetadata(FILTER_CATCH_EXCEPTIONS, type) as
    BoundFilter['exceptionMetatypes'] | undefined;
  return { func: filter.catch.bind(filter), exceptionMetatypes: caught ?? [] };
}
