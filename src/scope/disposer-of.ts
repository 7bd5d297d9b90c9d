import type { InstanceWrapper } from '../nest/nest-internals.js';
import { UserExecutionContext } from '../context/user-execution-context.js';
import { WebSocketManager } from '../manager/web-socket-manager.js';
import { ConnectionRequest } from './connection-request.js';

type Disposable = Partial<Record<PropertyKey, () => unknown>>;

/** How an instance is disposed of; `undefined` where it needs nothing, or is not the scope's to dispose of. */
export function disposerOf(
  instance: unknown,
  wrapper: InstanceWrapper,
): (() => unknown) | undefined {
  if (typeof instance !== 'object' || instance === null || isOurs(instance)) return undefined;
  const disposable = instance as Disposable;
  const method = methodOf(disposable);
  if (method === undefined || isBorrowed(instance, wrapper)) return undefined;
  return () => disposable[method]!();
}

// One by one, and not from a list: that way V8 remembers where each kind of instance has its own.
function methodOf(disposable: Disposable): PropertyKey | undefined {
  if (typeof disposable[Symbol.asyncDispose] === 'function') return Symbol.asyncDispose;
  if (typeof disposable[Symbol.dispose] === 'function') return Symbol.dispose;
  return typeof disposable['onModuleDestroy'] === 'function' ? 'onModuleDestroy' : undefined;
}

function isOurs(instance: object): boolean {
  return (
    instance instanceof UserExecutionContext ||
    instance instanceof WebSocketManager ||
    instance instanceof ConnectionRequest
  );
}

// A factory may hand out one of the singletons it was given; that one outlives the connection.
function isBorrowed(instance: object, wrapper: InstanceWrapper): boolean {
  const dependencies = wrapper.getCtorMetadata() ?? [];
  return dependencies.some(
    (dependency) => dependency?.isDependencyTreeStatic() && dependency.instance === instance,
  );
}
