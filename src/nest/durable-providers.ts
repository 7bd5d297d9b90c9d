import type { ContextId, HostComponentInfo } from '@nestjs/core';

import { IsolationError } from '../errors/isolation-error.js';
import { runOutsideContext } from '../context/running-code.js';
import { GATEWAY_METADATA, type InstanceWrapper, type NestInternals } from './nest-internals.js';
import { adoptInstance, hasBegun, keepIn } from './scope-instances.js';

/**
 * What a connection's scope does with durable providers, where the `ContextIdStrategy` of the app says in which scope they
 * are kept. They outlive the connection and are read by others, so nothing of it may get into them: they, and all that
 * they need, are made in a scope beside the connection's own, in which `REQUEST` is the payload of the strategy.
 *
 * Nest asks `getParent` where to look for a provider's instance, waits for one that is being made, and makes one that is
 * not. So it is begun here, before Nest looks.
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

  /** Takes charge of a connection's durable providers; `undefined` where the strategy leaves them to the connection. */
  static of(own: ContextId, internals: NestInternals): DurableProviders | undefined {
    const resolve = own.getParent?.bind(own);
    return resolve && new DurableProviders(own, resolve, internals);
  }

  /**
   * Resolves when those that were begun are complete: in a circle of them Nest hands on what is not complete yet.
   */
  async complete(): Promise<void> {
    while (this.#making.size > 0) await Promise.all(this.#making);
  }

  #placeOf(info: HostComponentInfo): ContextId {
    return this.resolve(info) ?? this.own;
  }

  // Only durable providers are shared, whatever the strategy says of others.
  #sharedUnder({ isTreeDurable, token }: HostComponentInfo): InstanceWrapper[] {
    return isTreeDurable ? this.internals.providersOf(token).filter(isShared) : [];
  }

  #make(wrapper: InstanceWrapper, place: ContextId): void {
    if (hasBegun(wrapper, place)) return;
    // Timers and promises that it starts go on for others: so they are nobody's.
    const making = runOutsideContext(
      () => this.internals.loadInstance(wrapper, this.#aside),
      undefined,
    );
    this.#making.add(making);
    const ended = (): void => void this.#making.delete(making);
    // Whoever waits for the instance gets the error.
    making.then(ended, ended);
    // Otherwise Nest would make it now, in the scope of the connection.
    if (!hasBegun(wrapper, place)) throw notBegun(wrapper);
  }
}

// What needs only durable providers is durable for Nest. A gateway is one connection's nevertheless, and a transient
// provider is its inquirer's.
function isShared(wrapper: InstanceWrapper): boolean {
  return wrapper.isDependencyTreeDurable() && !wrapper.isTransient && !isGateway(wrapper);
}

function isGateway({ metatype }: InstanceWrapper): boolean {
  return typeof metatype === 'function' && Reflect.hasMetadata(GATEWAY_METADATA, metatype);
}

function notBegun({ name }: InstanceWrapper): IsolationError {
  return new IsolationError(
    'UNSUPPORTED_NEST',
    `This version of @nestjs/core does not begin at once to make ${String(name)}, which is durable, so that it could get ` +
      'the identity of one connection. Install a version of the compatibility table.',
  );
}
