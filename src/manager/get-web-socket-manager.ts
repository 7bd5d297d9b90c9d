import { SingletonAccessError } from './manager.errors.js';

/**
 * Always throws: there is no manager that belongs to everybody.
 *
 * @deprecated Inject `WebSocketManager`, `WebSocketEmitter` or `WebSocketManagerFactory`.
 * @throws {SingletonAccessError} that says what to use instead
 */
export function getWebSocketManager(): never {
  throw new SingletonAccessError();
}
