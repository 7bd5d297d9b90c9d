import { Scope, type Type } from '@nestjs/common';
import { ContextIdFactory, type ModuleRef } from '@nestjs/core';

import { IsolationError } from '../errors/isolation-error.js';

/** Returns the instance that serves a request. */
export type InstanceFor<T> = (request: object) => T | Promise<T>;

/**
 * Finds a provider of the app by its class: the singleton, or for other scopes a new instance for each request.
 *
 * @param what names its option, for the error
 * @throws {IsolationError} with `code` where no module of the application provides the class
 */
export function appProvider<T>(
  type: Type<T>,
  moduleRef: ModuleRef,
  code: string,
  what: string,
): InstanceFor<T> {
  if (!isProvider(type, moduleRef)) {
    throw new IsolationError(
      code,
      `The ${what} ${type.name} is not a provider of any module. ` +
        `Add ${type.name} to the providers of the module that imports WebSocketIsolationModule.`,
    );
  }
  if (moduleRef.introspect(type).scope === Scope.DEFAULT) {
    let singleton: T | undefined;
    // Looked up when it is first needed: while the app boots, providers of modules that are not initialised are
    // placeholders whose constructor has not run.
    return () => (singleton ??= moduleRef.get<unknown, T>(type, { strict: false }));
  }
  return (request) => {
    const contextId = ContextIdFactory.create();
    moduleRef.registerRequestByContextId(request, contextId);
    return moduleRef.resolve(type, contextId, { strict: false });
  };
}

function isProvider(type: Type<unknown>, moduleRef: ModuleRef): boolean {
  try {
    moduleRef.introspect(type);
    return true;
  } catch {
    return false;
  }
}
