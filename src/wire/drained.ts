import type { Clock } from '../time/clock.js';
import type { ManagedSocket } from './managed-socket.js';
import { transportOf } from './ws-internals.js';

/** Milliseconds between looks at a socket whose transport does not tell when it is drained. */
const LOOK_MS = 20;

// One wait for each socket, however many streams wait for it: each wait listens to the transport.
const waits = new WeakMap<ManagedSocket, Promise<void>>();

/**
 * Resolves when the operating system has taken what a socket owes, or the socket has closed. The close event may come
 * some turns after the transport has ended, and what the socket owes stays until then. So each call takes a turn of its
 * own there: a caller that waits in a loop would otherwise keep the event loop from ever getting to that event.
 */
export function drained(socket: ManagedSocket, clock: Clock): Promise<void> {
  let wait = waits.get(socket);
  if (!wait) {
    wait = untilDrained(socket, clock).then(() => void waits.delete(socket));
    waits.set(socket, wait);
  }
  return wait;
}

function untilDrained(socket: ManagedSocket, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      const transport = transportOf(socket);
      if (socket.bufferedAmount === 0) return resolve();
      if (!transport || transport.destroyed) return void setImmediate(resolve);
      // While `ws` compresses, the bytes wait before the transport.
      if (!transport.writableNeedDrain) return void clock.after(LOOK_MS, look);
      const again = (): void => {
        transport.off('drain', again);
        transport.off('close', again);
        look();
      };
      transport.once('drain', again);
      transport.once('close', again);
    };
    look();
  });
}
