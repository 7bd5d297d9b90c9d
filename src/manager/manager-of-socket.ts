import { ownerOf } from './socket-binding.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** The manager that a socket is bound to. Only managers bind sockets. */
export function managerOfSocket(socket: object | undefined): WebSocketManager | undefined {
  return ownerOf(socket) as WebSocketManager | undefined;
}
