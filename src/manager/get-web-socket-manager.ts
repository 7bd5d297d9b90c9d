import { SingletonAccessError } from './manager.errors.js';

/**
 * Always throws: there is no global manager.
 *
 * @deprecated Inject `WebSocketManager`, `WebSocketEmitter` or `WebSocketManagerFactory`.
 * @throws {SingletonAccessError} whose message names what to inject instead
 */
export function getWebSocketManager(): never {
  throw new SingletonAccessError();
}
