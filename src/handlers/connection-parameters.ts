import { createParamDecorator, type ExecutionContext } from '@nestjs/common';

import type { UserExecutionContext } from '../context/user-execution-context.js';
import type { ConnectionCode } from '../context/connection-code.js';
import { runningCode } from '../context/running-code.js';
import { IsolationError } from '../errors/isolation-error.js';
import { managerOfSocket } from '../manager/manager-of-socket.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';

type ParameterFactory = (data: unknown, context: ExecutionContext) => unknown;

// The factories of this library's own decorators, each with the function that reads its value from the client. A
// handler that uses no other decorators needs no execution context.
const readers = new WeakMap<ParameterFactory, (client: object) => unknown>();

/**
 * Returns the function with which a parameter decorator of this library reads its value from a client; `undefined` for
 * any other decorator.
 */
export function connectionReader(factory: unknown): ((client: object) => unknown) | undefined {
  return typeof factory === 'function' ? readers.get(factory as ParameterFactory) : undefined;
}

/** Parameter decorator: the {@link UserExecutionContext} of the connection a message came from. */
export const CurrentContext: () => ParameterDecorator = connectionParameter(
  'CurrentContext',
  (manager): UserExecutionContext => manager.context,
);

/** Parameter decorator: the {@link WebSocketManager} of the connection a message came from. */
export const CurrentManager: () => ParameterDecorator = connectionParameter(
  'CurrentManager',
  (manager): WebSocketManager => manager,
);

/**
 * Parameter decorator: an `AbortSignal` for this message. Aborted when the client cancels the message, with
 * `{"event": "cancel", "id"}`, and when the connection closes.
 */
export const MessageSignal: () => ParameterDecorator = connectionParameter(
  'MessageSignal',
  (manager): AbortSignal => (runningCode() as ConnectionCode | undefined)?.signal ?? manager.signal,
);

function connectionParameter(
  name: string,
  read: (manager: WebSocketManager) => unknown,
): () => ParameterDecorator {
  const fromClient = (client: object): unknown => {
    const manager = managerOfSocket(client);
    if (!manager) throw new NotIsolatedError(name);
    return read(manager);
  };
  const factory: ParameterFactory = (_data, context) =>
    fromClient(context.switchToWs().getClient<object>());
  readers.set(factory, fromClient);
  return createParamDecorator(factory);
}

/** A parameter decorator of this library was used where there is no isolated connection. */
export class NotIsolatedError extends IsolationError {
  constructor(decorator: string) {
    super(
      'NOT_ISOLATED',
      `@${decorator}() found no isolated connection: the gateway has no @IsolatedGateway(), or the connection is closed. ` +
        'Decorate the gateway with @IsolatedGateway(); in HTTP controllers inject UserExecutionContext.',
    );
  }
}
