import type { Socket } from 'node:net';

import type { Release } from '../time/clock.js';

/**
 * Makes a socket read no faster than a bad mobile network: after each chunk it pauses for the time that the chunk would
 * have taken.
 *
 * @returns a function that restores full speed
 * @throws {RangeError} for a speed that is not above 0
 */
export function readSlowly(socket: Socket, bytesPerSecond: number): Release {
  if (!(bytesPerSecond > 0)) {
    throw new RangeError(
      `readSlowly() takes bytes per second above 0, and got ${String(bytesPerSecond)}; to stop reading use freeze().`,
    );
  }
  let timer: NodeJS.Timeout | undefined;
  const rest = (piece: Buffer): void => {
    socket.pause();
    clearTimeout(timer);
    timer = setTimeout(() => socket.resume(), (piece.length / bytesPerSecond) * 1000);
  };
  const release = (): void => {
    clearTimeout(timer);
    socket.off('data', rest);
    socket.off('close', release);
    socket.resume();
  };
  socket.on('data', rest);
  socket.on('close', release);
  return release;
}
