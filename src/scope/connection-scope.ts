import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';

import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import { afterwards, inTurn } from '../structures/maybe-async.js';
import { DurableProviders } from '../nest/durable-providers.js';
import { bindPathParams } from '../nest/path-params.js';
import type { InstanceWrapper, NestInternals } from '../nest/nest-internals.js';
import { adoptInstance, existingInstance, holdingScope } from '../nest/scope-instances.js';
import { transientInstances } from '../nest/transient-instances.js';
import { ConnectionRequest } from './connection-request.js';
import { ConstructionRun } from './construction-run.js';
import { dependantsFirst } from './dependants-first.js';
import { disposerOf } from './disposer-of.js';
import { assertNoIdentity } from './durable-payload.js';
import { type Instances, ScopePlan } from './scope-plan.js';

/** Runs a disposer of one instance, with a deadline. Never throws. @param name class or token of the instance */
export type RunDisposer = (dispose: () => unknown, name: string) => Promise<void> | undefined;

interface OwnDisposer {
  readonly wrapper: InstanceWrapper;
  readonly dispose: () => unknown;
}

/** Shared by the scopes of one path. */
export class ScopeBlueprint {
  #plan: ScopePlan | undefined;
  #hasLearned = false;

  constructor(
    readonly moduleRef: ModuleRef,
    readonly internals: NestInternals,
    /** The providers every scope begins with: the gateways. */
    readonly roots: readonly InstanceWrapper[],
    /** Guards and other enhancers with instances in these scopes. Only Nest can create them. */
    readonly enhancers: readonly { load(contextId: ContextId): Promise<void> }[],
  ) {}

  /** The plan by which instances are created, once it is known. */
  get plan(): ScopePlan | undefined {
    return this.#plan;
  }

  /** Called when Nest has created a first scope: only then Nest knows the dependencies of these providers. */
  learn(): void {
    if (this.#hasLearned) return;
    this.#hasLearned = true;
    if (this.enhancers.length === 0) this.#plan = ScopePlan.for(this.roots, this.internals);
  }
}

/** The request whose context id is being created at this moment, if any. */
let naming: ConnectionRequest | undefined;

const SCOPE = Symbol('websocket-isolation:scope');

/** A client that references its scope. */
interface ScopedClient {
  [SCOPE]?: { readonly contextId: ContextId } | undefined;
}

/** The `REQUEST` of a client's scope; `undefined` when the scope has ended. */
export function requestOf(client: object): ConnectionRequest | undefined {
  const scope = (client as ScopedClient)[SCOPE];
  return scope instanceof ConnectionScope ? scope.request : undefined;
}

/** The context id of a client's scope. If the scope has ended without one: the id of an empty scope. */
export function contextIdOf(client: object): ContextId {
  const scoped = client as ScopedClient;
  return (scoped[SCOPE] ??= { contextId: ContextIdFactory.create() }).contextId;
}

/**
 * The dependency-injection scope of one connection: REQUEST-scoped providers have instances of their own in it, which
 * are all disposed of when the connection ends.
 */
export class ConnectionScope {
  readonly #host: ScopeBlueprint;
  // The plan at the time the scope was created. A scope that Nest has begun is also completed by Nest.
  readonly #plan: ScopePlan | undefined;
  readonly #instances: Instances;
  #contextId: ContextId | undefined = undefined;
  // Set when the app's ContextIdStrategy keeps durable providers in a scope that connections share.
  #durable: DurableProviders | undefined = undefined;
  #client: ScopedClient | undefined = undefined;
  // Created for the first instance that has a disposer.
  #disposed: object[] | undefined = undefined;

  constructor(host: ScopeBlueprint, request: ConnectionRequest) {
    this.#host = host;
    this.#plan = host.plan;
    this.#instances = this.#plan?.begin(request) ?? [request];
    ConnectionRequest.bind(request, this);
    // Reading the peer's address from the operating system costs as much as the rest of a scope. It is read only where
    // a provider may use it, and then while the socket is there.
    if (!this.#plan || this.#plan.readsRequest) ConnectionRequest.settle(request);
  }

  /** The value of Nest's `REQUEST` in this scope. */
  get request(): ConnectionRequest {
    return this.#instances[0] as ConnectionRequest;
  }

  /**
   * Nest's id of the scope. Created on first use: few connections need it, and each id costs Nest an entry for every
   * provider.
   */
  get contextId(): ContextId {
    return this.#contextId ?? this.makeContextId();
  }

  /** As {@link contextId}, but `undefined` while it is being created. */
  get nameForRequest(): ContextId | undefined {
    return naming === this.#instances[0] ? undefined : this.contextId;
  }

  private makeContextId(): ContextId {
    // Nest calls the app's ContextIdStrategy only for a request that has no context id yet.
    const { request } = this;
    naming = request;
    let contextId: ContextId;
    try {
      contextId = ContextIdFactory.getByRequest(request);
    } finally {
      naming = undefined;
    }
    assertNoIdentity(contextId.payload);
    this.#contextId = contextId;
    this.#durable = DurableProviders.of(contextId, this.#host.internals);
    this.#host.moduleRef.registerRequestByContextId(request, contextId);
    this.#plan?.wrappers.slice(0, this.#instances.length - 1).forEach((wrapper, index) => {
      adoptInstance(wrapper, contextId, this.#instances[index + 1]);
    });
    return contextId;
  }

  /** Creates the instances the scope begins with. Returns a promise only where one of them is asynchronous. */
  open(): Promise<void> | undefined {
    const { roots, enhancers } = this.#host;
    if (roots.length === 0 && enhancers.length === 0) return undefined;
    const { context } = this.request;
    // Constructors run as code of the connection, and so does everything that they start.
    return this.#plan
      ? runInContext(new ConnectionCode(context), ConnectionScope.#makePlanned, this)
      : runInContext(new ConstructionRun(context), ConnectionScope.#makeByNest, this);
  }

  static readonly #makePlanned = (scope: ConnectionScope): Promise<void> | undefined =>
    scope.#plan!.complete(scope.#instances, (wrapper) =>
      scope.#contextId ? existingInstance(wrapper, scope.#contextId) : undefined,
    );

  static readonly #makeByNest = (scope: ConnectionScope): Promise<void> => {
    const { contextId } = scope;
    const { internals, roots, enhancers } = scope.#host;
    const loaded = Promise.all(roots.map((root) => internals.loadInstance(root, contextId)));
    return loaded
      .then(() => Promise.all(enhancers.map((enhancer) => enhancer.load(contextId))))
      .then(() => scope.#durable?.complete())
      .then(() => scope.#host.learn());
  };

  /** The instance of one of the providers that {@link open} has created. */
  instanceOf(wrapper: InstanceWrapper): unknown {
    if (wrapper.isDependencyTreeStatic()) return wrapper.instance as unknown;
    return this.#plan
      ? this.#plan.instanceOf(wrapper, this.#instances)
      : existingInstance(wrapper, this.contextId);
  }

  /**
   * Disposes of every instance that was created in this scope, dependants before their dependencies, with the first of
   * `Symbol.asyncDispose`, `Symbol.dispose` and `onModuleDestroy` that it has. Each instance is disposed of once,
   * however often this is called: a further call finds providers that were still being created during the first.
   *
   * @param run runs each disposer
   */
  dispose(run: RunDisposer): Promise<void> | undefined {
    ConnectionRequest.settle(this.request);
    const disposed = this.#contextId
      ? this.disposeNamed(this.#contextId, run)
      : this.disposePlanned(run);
    return afterwards(disposed, () => this.unbind());
  }

  /** Lets {@link contextIdOf} find this scope by its client, until it has been disposed of. */
  bind(client: object): void {
    this.#client = client;
    this.#client[SCOPE] = this;
    bindPathParams(client, this.request.params);
  }

  // A closed client may stay in memory for long: `ws` keeps it in a Set, and the outgrown tables of a small Set keep
  // deleted members until the next full collection. So it must not reference its scope.
  private unbind(): undefined {
    if (this.#client && !this.#contextId) this.#client[SCOPE] = undefined;
    this.#client = undefined;
  }

  // In reverse order of creation: an instance may need earlier ones. Index 0 is the request.
  private disposePlanned(run: RunDisposer): Promise<void> | undefined {
    const last = this.#instances.length - 1;
    return inTurn(last, (index) => {
      const place = last - index;
      const wrapper = this.#plan!.wrappers[place - 1]!;
      const instance = this.#instances[place];
      const dispose = disposerOf(instance, wrapper);
      if (!dispose || !this.isFirst(instance as object)) return undefined;
      return run(dispose, String(wrapper.name));
    });
  }

  private async disposeNamed(contextId: ContextId, run: RunDisposer): Promise<void> {
    for (const { dispose, wrapper } of this.disposersIn(contextId)) {
      await run(dispose, String(wrapper.name));
    }
  }

  // The context id was used, so Nest may have created instances that the plan does not know.
  private disposersIn(contextId: ContextId): OwnDisposer[] {
    const found: OwnDisposer[] = [];
    const wrappers = this.#host.internals.scopedWrappers();
    const byId = new Map(wrappers.map((wrapper) => [wrapper.id, wrapper]));
    for (const wrapper of wrappers) {
      // Instances that connections share, by the app's strategy, outlive this scope.
      if (holdingScope(wrapper, contextId) !== contextId) continue;
      const instances = wrapper.isTransient
        ? transientInstances(wrapper, contextId, byId)
        : [existingInstance(wrapper, contextId)];
      for (const instance of instances) {
        const dispose = disposerOf(instance, wrapper);
        if (dispose && this.isFirst(instance as object)) found.push({ wrapper, dispose });
      }
    }
    return dependantsFirst(found);
  }

  // An object under two tokens is disposed of once.
  private isFirst(instance: object): boolean {
    if (this.#disposed?.includes(instance)) return false;
    if (this.#disposed) this.#disposed.push(instance);
    else this.#disposed = [instance];
    return true;
  }
}
