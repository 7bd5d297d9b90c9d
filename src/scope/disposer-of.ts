import type { InstanceWrapper } from '../nest/nest-internals.js';
import { disposeMethodOf, isHandedOver } from './dispose-with-connection.js';

type Disposable = Record<PropertyKey, () => unknown>;

/** The disposer of an instance; `undefined` where it has none, or does not belong to the scope. */
export function disposerOf(
  instance: unknown,
  wrapper: InstanceWrapper,
): (() => unknown) | undefined {
  const method = disposeMethodOf(instance);
  if (method === undefined || !isOwn(instance as object, wrapper)) return undefined;
  return () => (instance as Disposable)[method]!();
}

// Only an instance that was constructed for this scope certainly belongs to it. A factory may return an object that
// connections share; a value or an alias is created elsewhere.
function isOwn(instance: object, wrapper: InstanceWrapper): boolean {
  return !wrapper.isNotMetatype || isHandedOver(instance);
}
