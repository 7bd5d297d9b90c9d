import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';

import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import { afterwards, inTurn } from '../structures/maybe-async.js';
import { DurableProviders } from '../nest/durable-providers.js';
import type { InstanceWrapper, NestInternals } from '../nest/nest-internals.js';
import { adoptInstance, existingInstance, holdingScope } from '../nest/scope-instances.js';
import { transientInstances } from '../nest/transient-instances.js';
import { ConnectionRequest } from './connection-request.js';
import { ConstructionRun } from './construction-run.js';
import { dependantsFirst } from './dependants-first.js';
import { disposerOf } from './disposer-of.js';
import { assertNoIdentity } from './durable-payload.js';
import { type Instances, ScopePlan } from './scope-plan.js';

/** Runs a disposer of one instance, bounded. Never throws. @param name of what is disposed of: its class, or its token */
export type RunDisposer = (dispose: () => unknown, name: string) => Promise<void> | undefined;

interface OwnDisposer {
  readonly wrapper: InstanceWrapper;
  readonly dispose: () => unknown;
}

/** What the scopes of one path share. */
export class ScopeBlueprint {
  #plan: ScopePlan | undefined;
  #hasLearned = false;

  constructor(
    readonly moduleRef: ModuleRef,
    readonly internals: NestInternals,
    /** The providers every scope begins with: the gateways. */
    readonly roots: readonly InstanceWrapper[],
    /** Guards and other enhancers with instances in these scopes, which only Nest makes. */
    readonly enhancers: readonly { load(contextId: ContextId): Promise<void> }[],
  ) {}

  /** How instances are made, once that is known. */
  get plan(): ScopePlan | undefined {
    return this.#plan;
  }

  /** Nest has made a first scope: only then it knows what each of these providers needs. */
  learn(): void {
    if (this.#hasLearned) return;
    this.#hasLearned = true;
    if (this.enhancers.length === 0) this.#plan = ScopePlan.for(this.roots, this.internals);
  }
}

/** The request whose scope is getting its name at this moment, if any. */
let naming: ConnectionRequest | undefined;

const SCOPE = Symbol('websocket-isolation:scope');

/** A client that leads to its scope. */
interface ScopedClient {
  [SCOPE]?: { readonly contextId: ContextId } | undefined;
}

/** The `REQUEST` of a client's scope, until that has ended. */
export function requestOf(client: object): ConnectionRequest | undefined {
  const scope = (client as ScopedClient)[SCOPE];
  return scope instanceof ConnectionScope ? scope.request : undefined;
}

/** The name of a client's scope: when that has ended without one, the name of an empty scope. */
export function contextIdOf(client: object): ContextId {
  const scoped = client as ScopedClient;
  return (scoped[SCOPE] ??= { contextId: ContextIdFactory.create() }).contextId;
}

/**
 * The dependency-injection scope of one connection: REQUEST-scoped providers resolve to instances of
 * its own, and all of them are disposed of at its end.
 */
export class ConnectionScope {
  readonly #host: ScopeBlueprint;
  // As it was when the scope was made: a scope that Nest has begun, Nest finishes.
  readonly #plan: ScopePlan | undefined;
  readonly #instances: Instances;
  #contextId: ContextId | undefined = undefined;
  // Where the app's ContextIdStrategy has put durable providers into a scope that connections share.
  #durable: DurableProviders | undefined = undefined;
  #client: ScopedClient | undefined = undefined;
  // Made for the first instance that has something to dispose of.
  #disposed: object[] | undefined = undefined;

  constructor(host: ScopeBlueprint, request: ConnectionRequest) {
    this.#host = host;
    this.#plan = host.plan;
    this.#instances = this.#plan?.begin(request) ?? [request];
    ConnectionRequest.bind(request, this);
    // Asking the operating system for the peer's address costs as much as the rest of a scope: only where
    // somebody may want to know it, and then while the socket is there.
    if (!this.#plan || this.#plan.readsRequest) ConnectionRequest.settle(request);
  }

  /** What Nest's `REQUEST` is in this scope. */
  get request(): ConnectionRequest {
    return this.#instances[0] as ConnectionRequest;
  }

  /**
   * Nest's name for the scope. Made when somebody asks: few connections are ever looked at by their
   * name, and a name costs Nest an entry for every provider.
   */
  get contextId(): ContextId {
    return this.#contextId ?? this.#makeContextId();
  }

  /** As {@link contextId}, but `undefined` while it is being made. */
  get nameForRequest(): ContextId | undefined {
    return naming === this.#instances[0] ? undefined : this.contextId;
  }

  #makeContextId(): ContextId {
    // Nest asks the app's ContextIdStrategy only for a request that has no name yet.
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

  /** Makes the instances the scope begins with. A promise only where one of them is asynchronous. */
  open(): Promise<void> | undefined {
    const { roots, enhancers } = this.#host;
    if (roots.length === 0 && enhancers.length === 0) return undefined;
    const { context } = this.request;
    // What is constructed belongs to the connection, and so does all that it begins.
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

  /** The instance of one of the providers that {@link open} has made. */
  instanceOf(wrapper: InstanceWrapper): unknown {
    if (wrapper.isDependencyTreeStatic()) return wrapper.instance as unknown;
    return this.#plan
      ? this.#plan.instanceOf(wrapper, this.#instances)
      : existingInstance(wrapper, this.contextId);
  }

  /**
   * Disposes of every instance that was made in this scope: those that need others first, each with
   * `Symbol.asyncDispose`, `Symbol.dispose` or `onModuleDestroy`, whichever it has first. Each once,
   * however often this is called: a provider that was still being made the first time is found the next.
   *
   * @param run runs each of them
   */
  dispose(run: RunDisposer): Promise<void> | undefined {
    ConnectionRequest.settle(this.request);
    const disposed = this.#contextId
      ? this.#disposeNamed(this.#contextId, run)
      : this.#disposePlanned(run);
    return afterwards(disposed, () => this.#unbind());
  }

  /** Lets {@link contextIdOf} find this scope by its client, until it has been disposed of. */
  bind(client: object): void {
    this.#client = client;
    this.#client[SCOPE] = this;
  }

  // A client that is gone may stay in memory for long: `ws` has it in a Set, and what a Set drops while it is
  // small is kept by the tables it has outgrown until the next full collection. So it takes nothing along.
  #unbind(): undefined {
    if (this.#client && !this.#contextId) this.#client[SCOPE] = undefined;
    this.#client = undefined;
  }

  // The last made first: it may need those that were made before it. The first place is the request's.
  #disposePlanned(run: RunDisposer): Promise<void> | undefined {
    let place = this.#instances.length;
    const next = (): number | undefined => {
      place -= 1;
      return place > 0 ? place : undefined;
    };
    return inTurn(next, (at) => {
      const wrapper = this.#plan!.wrappers[at - 1]!;
      const instance = this.#instances[at];
      const dispose = disposerOf(instance, wrapper);
      if (!dispose || !this.#isFirst(instance as object)) return undefined;
      return run(dispose, String(wrapper.name));
    });
  }

  async #disposeNamed(contextId: ContextId, run: RunDisposer): Promise<void> {
    for (const { dispose, wrapper } of this.#disposersIn(contextId)) {
      await run(dispose, String(wrapper.name));
    }
  }

  // Somebody used the scope's name: there may be more in it than the plan knows.
  #disposersIn(contextId: ContextId): OwnDisposer[] {
    const found: OwnDisposer[] = [];
    const wrappers = this.#host.internals.scopedWrappers();
    const byId = new Map(wrappers.map((wrapper) => [wrapper.id, wrapper]));
    for (const wrapper of wrappers) {
      // What connections share, by the app's strategy, outlives this one.
      if (holdingScope(wrapper, contextId) !== contextId) continue;
      const instances = wrapper.isTransient
        ? transientInstances(wrapper, contextId, byId)
        : [existingInstance(wrapper, contextId)];
      for (const instance of instances) {
        const dispose = disposerOf(instance, wrapper);
        if (dispose && this.#isFirst(instance as object)) found.push({ wrapper, dispose });
      }
    }
    return dependantsFirst(found);
  }

  // One object under two tokens is one object.
  #isFirst(instance: object): boolean {
    if (this.#disposed?.includes(instance)) return false;
    if (this.#disposed) this.#disposed.push(instance);
    else this.#disposed = [instance];
    return true;
  }
}
