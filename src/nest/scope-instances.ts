import type { ContextId } from '@nestjs/core';

import type { InstanceWrapper } from './nest-internals.js';

/** Tells Nest of an instance that was made without it. */
export function adoptInstance(
  wrapper: InstanceWrapper,
  contextId: ContextId,
  instance: unknown,
): void {
  const host = { instance, isResolved: true, isPending: false, isConstructorCalled: true };
  wrapper.setInstanceByContextId(contextId, host as never);
}

/** Where a scope keeps a provider's instance. */
type Place = (wrapper: InstanceWrapper) => ContextId;

// By scope: `getParent` of these makes what is not there yet.
const places = new WeakMap<ContextId, Place>();

/** Says where a scope's providers are kept, without making them as `getParent` may. */
export function keepIn(contextId: ContextId, place: Place): void {
  places.set(contextId, place);
}

/** The scope that holds a provider's instance: for durable ones maybe one that connections share. */
export function holdingScope(wrapper: InstanceWrapper, contextId: ContextId): ContextId {
  return places.get(contextId)?.(wrapper) ?? contextId;
}

/** The instance a provider has in a scope, without making one. For a transient one, see `transientInstances`. */
export function existingInstance(wrapper: InstanceWrapper, contextId: ContextId): unknown {
  const host = hostIn(wrapper, holdingScope(wrapper, contextId));
  return host?.isResolved ? host.instance : undefined;
}

/** Whether Nest has made a provider's instance in a scope, or is about to. */
export function hasBegun(wrapper: InstanceWrapper, scope: ContextId): boolean {
  const host = hostIn(wrapper, scope);
  return host?.isResolved === true || host?.isPending === true;
}

function hostIn(wrapper: InstanceWrapper, scope: ContextId): InstancePerContext | undefined {
  return (wrapper as unknown as { values: WeakMap<ContextId, InstancePerContext> }).values.get(
    scope,
  );
}

interface InstancePerContext {
  readonly instance: unknown;
  readonly isResolved?: boolean;
  readonly isPending?: boolean;
}
