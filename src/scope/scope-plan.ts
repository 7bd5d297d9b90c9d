import { UserExecutionContext } from '../context/user-execution-context.js';
import { inTurn, isThenable } from '../structures/maybe-async.js';
import { WebSocketManager } from '../manager/web-socket-manager.js';
import { dependencyCount } from '../nest/injected-tokens.js';
import { type InstanceWrapper, isPlannable, type NestInternals } from '../nest/nest-internals.js';

/** Where an argument comes from: an index in the scope's list of instances, or, where that is -1, a singleton. */
interface Source {
  readonly place: number;
  readonly value: unknown;
}

/** How one provider is created. */
interface Recipe {
  readonly wrapper: InstanceWrapper;
  readonly dependencies: readonly Source[];
  readonly properties: readonly { readonly key: PropertyKey; readonly source: Source }[];
}

/** The instances of one scope. The first is its `REQUEST`. */
export type Instances = unknown[];

/**
 * A list of constructor calls that creates the instances of a scope, dependencies first. It is computed once; Nest
 * resolves every scope anew, with a dozen promises for each provider.
 */
export class ScopePlan {
  /** The providers that have an instance of their own in a scope, dependencies first. */
  readonly wrappers: readonly InstanceWrapper[];
  /** Whether a provider of the app injects the `REQUEST`. */
  readonly readsRequest: boolean;
  readonly #recipes: readonly Recipe[];
  readonly #blank: readonly undefined[];
  readonly #places: ReadonlyMap<InstanceWrapper, number>;

  private constructor(
    recipes: readonly Recipe[],
    places: ReadonlyMap<InstanceWrapper, number>,
    private readonly internals: NestInternals,
  ) {
    this.wrappers = recipes.map(({ wrapper }) => wrapper);
    this.readsRequest = recipes.some(
      (recipe) => !isOurs(recipe.wrapper.token) && readsPlace(recipe, 0),
    );
    this.#recipes = recipes;
    this.#blank = Array.from({ length: recipes.length + 1 }, () => undefined);
    this.#places = places;
  }

  /**
   * Computes a plan for some providers and all their dependencies. `undefined` where a plan is not possible (transient
   * or durable providers, forward references, missing dependencies): then Nest creates the scope.
   */
  static for(
    wrappers: readonly InstanceWrapper[],
    internals: NestInternals,
  ): ScopePlan | undefined {
    const places = new Map<InstanceWrapper, number>([[internals.requestWrapper, 0]]);
    const recipes: Recipe[] = [];
    const visiting = new Set<InstanceWrapper>();
    const sourceOf = (wrapper: InstanceWrapper): Source | undefined => {
      const place = places.get(wrapper);
      if (place !== undefined) return { place, value: undefined };
      if (wrapper.isDependencyTreeStatic() && !wrapper.isTransient)
        return { place: -1, value: wrapper.instance };
      return plan(wrapper);
    };
    const plan = (wrapper: InstanceWrapper): Source | undefined => {
      if (visiting.has(wrapper) || !isPlannable(wrapper)) return undefined;
      visiting.add(wrapper);
      const dependencies = allOf(
        wrapper.getCtorMetadata() ?? [],
        dependencyCount(wrapper),
        sourceOf,
      );
      const declared = wrapper.getPropertiesMetadata() ?? [];
      const sources = allOf(
        declared.map((entry) => entry.wrapper),
        declared.length,
        sourceOf,
      );
      if (!dependencies || !sources) return undefined;
      const properties = declared.map(({ key }, index) => ({ key, source: sources[index]! }));
      recipes.push({ wrapper, dependencies, properties });
      places.set(wrapper, recipes.length);
      return { place: recipes.length, value: undefined };
    };
    const isWhole = wrappers.every((wrapper) => sourceOf(wrapper) !== undefined);
    return isWhole ? new ScopePlan(recipes, places, internals) : undefined;
  }

  /** The instances of a scope in which only the request exists so far. */
  begin(request: unknown): Instances {
    // Reserves exactly the capacity that is needed: an array that grows reserves sixteen more places.
    const instances: Instances = this.#blank.slice();
    instances.length = 1;
    instances[0] = request;
    return instances;
  }

  /** The instance of a provider. */
  instanceOf(wrapper: InstanceWrapper, instances: Instances): unknown {
    const place = this.#places.get(wrapper);
    return place === undefined ? wrapper.instance : instances[place];
  }

  /**
   * Creates the missing instances and adds them to `instances`. Returns a promise only where a factory is asynchronous.
   *
   * @param adopt returns an instance that exists already, created by Nest
   */
  complete(
    instances: Instances,
    adopt: (wrapper: InstanceWrapper) => unknown,
  ): Promise<void> | undefined {
    return inTurn(this.#recipes.length, (index) => {
      const recipe = this.#recipes[index]!;
      const instance = adopt(recipe.wrapper) ?? this.#make(recipe, instances);
      if (!isThenable(instance)) {
        instances.push(instance);
        return undefined;
      }
      return Promise.resolve(instance).then((made) => void instances.push(made));
    });
  }

  #make({ wrapper, dependencies, properties }: Recipe, instances: Instances): unknown {
    const args = dependencies.map((source) => valueOf(source, instances));
    if (wrapper.isFactory) {
      const made = (wrapper.metatype as (...args: unknown[]) => unknown)(...args);
      return isThenable(made)
        ? made.then((instance) => this.internals.decorate(instance))
        : this.internals.decorate(made);
    }
    const instance = Reflect.construct(wrapper.metatype as never, args) as Record<
      PropertyKey,
      unknown
    >;
    for (const { key, source } of properties) {
      const value = valueOf(source, instances);
      if (value !== undefined && value !== null) instance[key] = value;
    }
    return this.internals.decorate(instance);
  }
}

function valueOf({ place, value }: Source, instances: Instances): unknown {
  return place === -1 ? value : instances[place];
}

function readsPlace({ dependencies, properties }: Recipe, place: number): boolean {
  const sources = [...dependencies, ...properties.map(({ source }) => source)];
  return sources.some((source) => source.place === place);
}

function isOurs(token: unknown): boolean {
  return token === UserExecutionContext || token === WebSocketManager;
}

function allOf(
  wrappers: readonly (InstanceWrapper | undefined)[],
  expected: number,
  sourceOf: (wrapper: InstanceWrapper) => Source | undefined,
): Source[] | undefined {
  const sources: Source[] = [];
  for (let index = 0; index < expected; index += 1) {
    // A missing optional dependency leaves a hole.
    const wrapper = wrappers[index];
    const source = wrapper && sourceOf(wrapper);
    if (!source) return undefined;
    sources.push(source);
  }
  return sources;
}
