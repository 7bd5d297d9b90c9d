import {
  type InstanceWrapper,
  PARAMTYPES_METADATA,
  PROPERTY_DEPS_METADATA,
  SELF_DECLARED_DEPS_METADATA,
} from './nest-internals.js';

/** How many arguments a provider's constructor or factory takes. */
export function dependencyCount(wrapper: InstanceWrapper): number {
  return argumentsOf(wrapper).length;
}

/**
 * The tokens that a provider injects, as declared. Nest resolves those of REQUEST-scoped providers only when it creates
 * the first scope.
 */
export function injectedTokens(wrapper: InstanceWrapper): unknown[] {
  const { inject, metatype } = wrapper;
  const properties = inject ? [] : declared(PROPERTY_DEPS_METADATA, metatype);
  const types = (properties as readonly { type: unknown }[]).map(({ type }) => type);
  return [...argumentsOf(wrapper), ...types].map(tokenOf);
}

function argumentsOf({ inject, metatype }: InstanceWrapper): unknown[] {
  if (inject) return inject;
  const types = [...declared(PARAMTYPES_METADATA, metatype)];
  const named = declared(SELF_DECLARED_DEPS_METADATA, metatype) as readonly NamedParameter[];
  for (const { index, param } of named) types[index] = param;
  return types;
}

interface NamedParameter {
  readonly index: number;
  readonly param: unknown;
}

function declared(key: string, metatype: unknown): readonly unknown[] {
  if (typeof metatype !== 'function') return [];
  return (Reflect.getMetadata(key, metatype) ?? []) as readonly unknown[];
}

// `forwardRef(() => Token)`, `{ token, optional }` or the token itself.
function tokenOf(dependency: unknown): unknown {
  if (typeof dependency !== 'object' || dependency === null) return dependency;
  const { forwardRef, token } = dependency as { forwardRef?: () => unknown; token?: unknown };
  return forwardRef ? forwardRef() : (token ?? dependency);
}
