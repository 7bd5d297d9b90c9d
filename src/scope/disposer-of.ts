import type { InstanceWrapper } from '../nest/nest-internals.js';
import { disposeMethodOf, isHandedOver } from './dispose-with-connection.js';

type Disposable = Record<PropertyKey, () => unknown>;

/** How an instance is disposed of; `undefined` where it needs nothing, or is not the scope's to dispose of. */
export function disposerOf(
  instance: unknown,
  wrapper: InstanceWrapper,
): (() => unknown) | undefined {
  const method = disposeMethodOf(instance);
  if (method === undefined || !isOwn(instance as object, wrapper)) return undefined;
  return () => (instance as Disposable)[method]!();
}

// Only what was constructed for this scope is certainly its own. A factory may return what connections share, a value or
// an alias is made elsewhere.
function isOwn(instance: object, wrapper: InstanceWrapper): boolean {
  return !wrapper.isNotMetatype || isHandedOver(instance);
}
