import type { Slots } from './slots.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** The slots of one user, and the managers that hold them. */
export type UserSlots = Slots<WebSocketManager>;
