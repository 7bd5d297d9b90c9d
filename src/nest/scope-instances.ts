import type { ContextId } from '@nestjs/core';

import type { InstanceWrapper } from './nest-internals.js';

/** Registers an instance with Nest that Nest has not created. */
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

// By scope. A lookup here, unlike `getParent`, creates no missing instance.
const places = new WeakMap<ContextId, Place>();

/** Sets where a scope's providers are kept. Looking a place up, unlike `getParent`, creates no instance. */
export function keepIn(contextId: ContextId, place: Place): void {
  places.set(contextId, place);
}

/** The scope that holds a provider's instance: for durable providers possibly one that connections share. */
export function holdingScope(wrapper: InstanceWrapper, contextId: ContextId): ContextId {
  return places.get(contextId)?.(wrapper) ?? contextId;
}

/** The existing instance of a provider in a scope. For a transient provider, see `transientInstances`. */
export function existingInstance(wrapper: InstanceWrapper, contextId: ContextId): unknown {
  const host = hostIn(wrapper, holdingScope(wrapper, contextId));
  return host?.isResolved ? host.instance : undefined;
}

/** Whether Nest has created a provider's instance in a scope, or is creating it. */
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
