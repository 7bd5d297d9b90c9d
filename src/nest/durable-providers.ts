import type { ContextId, HostComponentInfo } from '@nestjs/core';

import { IsolationError } from '../errors/isolation-error.js';
import { runOutsideContext } from '../context/running-code.js';
import { GATEWAY_METADATA, type InstanceWrapper, type NestInternals } from './nest-internals.js';
import { adoptInstance, hasBegun, keepIn } from './scope-instances.js';

/**
 * Handles a connection's durable providers, where the app's `ContextIdStrategy` decides in which scope they are kept.
 * Durable providers outlive the connection and are shared, so no data of the connection may get into them. They and all
 * their dependencies are created in a scope beside the connection's own, in which `REQUEST` is the payload of the
 * strategy.
 *
 * Nest calls `getParent` to find the scope of a provider's instance. It waits for an instance that is being created,
 * and creates a missing one itself. So the creation is started here, before Nest looks.
 */
export class DurableProviders {
  readonly #aside: ContextId;
  readonly #making = new Set<Promise<unknown>>();

  private constructor(
    private readonly own: ContextId,
    private readonly resolve: (info: HostComponentInfo) => ContextId | undefined,
    private readonly internals: NestInternals,
  ) {
    const { id, payload } = own;
    this.#aside = {
      id,
      payload,
      getParent: (info) => (this.#sharedUnder(info).length > 0 ? this.#placeOf(info) : this.#aside),
    };
    adoptInstance(internals.requestWrapper, this.#aside, payload);
    own.getParent = (info) => {
      const wrappers = this.#sharedUnder(info);
      if (wrappers.length === 0) return own;
      const place = this.#placeOf(info);
      for (const wrapper of wrappers) this.#make(wrapper, place);
      return place;
    };
    keepIn(own, (wrapper) => {
      const { token } = wrapper;
      return isShared(wrapper) ? this.#placeOf({ token, isTreeDurable: true }) : own;
    });
  }

  /** Handles a connection's durable providers; `undefined` where the strategy leaves them to the connection. */
  static of(own: ContextId, internals: NestInternals): DurableProviders | undefined {
    const resolve = own.getParent?.bind(own);
    return resolve && new DurableProviders(own, resolve, internals);
  }

  /** Resolves when all started instances are complete: in a circular dependency, Nest passes on incomplete ones. */
  async complete(): Promise<void> {
    while (this.#making.size > 0) await Promise.all(this.#making);
  }

  #placeOf(info: HostComponentInfo): ContextId {
    return this.resolve(info) ?? this.own;
  }

  // Only durable providers are shared, whatever the strategy returns for others.
  #sharedUnder({ isTreeDurable, token }: HostComponentInfo): InstanceWrapper[] {
    return isTreeDurable ? this.internals.providersOf(token).filter(isShared) : [];
  }

  #make(wrapper: InstanceWrapper, place: ContextId): void {
    if (hasBegun(wrapper, place)) return;
    // Timers and promises that the provider starts also serve other connections, so they run outside any context.
    const making = runOutsideContext(
      () => this.internals.loadInstance(wrapper, this.#aside),
      undefined,
    );
    this.#making.add(making);
    const ended = (): void => void this.#making.delete(making);
    // The code that waits for the instance gets the error.
    making.then(ended, ended);
    // Otherwise Nest would create it now, in the scope of the connection.
    if (!hasBegun(wrapper, place)) throw notBegun(wrapper);
  }
}

// Nest treats a provider that has only durable dependencies as durable. But a gateway always belongs to one connection,
// and a transient provider to its inquirer.
function isShared(wrapper: InstanceWrapper): boolean {
  return wrapper.isDependencyTreeDurable() && !wrapper.isTransient && !isGateway(wrapper);
}

function isGateway({ metatype }: InstanceWrapper): boolean {
  return typeof metatype === 'function' && Reflect.hasMetadata(GATEWAY_METADATA, metatype);
}

function notBegun({ name }: InstanceWrapper): IsolationError {
  return new IsolationError(
    'UNSUPPORTED_NEST',
    `This version of @nestjs/core does not start to create the durable provider ${String(name)} synchronously, so it ` +
      'could get the identity of one connection. Install a version of the compatibility table.',
  );
}
