import { runOutsideContext } from '../context/running-code.js';
import type { Clock } from '../time/clock.js';
import {
  count,
  type DeliveryReport,
  type DeliveryResult,
  emptyReport,
} from '../wire/delivery-result.js';
import type { Frame } from '../wire/write-frame.js';
import { TextFrame } from '../wire/text-frame.js';
import type { Message } from '../wire/write-frame.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** Writes a frame to the socket of a connection. */
export type Write = (manager: WebSocketManager, frame: Frame) => DeliveryResult;
/** Writes a frame to one connection; returns `undefined` when the frame is not for that connection. */
export type Hand = (
  manager: WebSocketManager,
  frame: Frame,
  write: Write,
) => DeliveryResult | undefined;

const handToAll: Hand = (manager, frame, write) => write(manager, frame);

/** Sends one message to several connections, and counts the results. */
export function fanOut(
  managers: readonly WebSocketManager[],
  message: Message,
  clock: Clock,
  hand: Hand = handToAll,
): DeliveryReport {
  const report = emptyReport();
  const reached: WebSocketManager[] = [];
  const write: Write = (manager, frame) => {
    const result = manager.writeFrame(frame);
    if (typeof result === 'string') reached.push(manager);
    return result;
  };
  const handTo = (manager: WebSocketManager, frame: Frame): void => {
    const result = hand(manager, frame, write);
    if (result) count(report, result);
  };
  if (managers.length === 1) handTo(managers[0]!, message);
  else if (managers.length > 1) {
    const frame = typeof message === 'string' ? TextFrame.of(message) : message;
    // The writes belong to other connections, so they run outside the context of the handler that sends.
    runOutsideContext((all) => {
      for (const manager of all) handTo(manager, frame);
    }, managers);
  }
  // In a separate loop after all writes: between two system calls, the data of each connection would have to be fetched
  // from memory into the CPU cache again.
  const now = clock.now();
  for (const manager of reached) manager.noteSent(now);
  return report;
}

/** Sends one critical message to several connections, and counts the results: one that fails stops no other. */
export function fanOutCritical(
  managers: readonly WebSocketManager[],
  event: string,
  frame: string,
): DeliveryReport {
  const report = emptyReport();
  // Outside the context of the handler that sends, as above.
  runOutsideContext((all) => {
    for (const manager of all) count(report, manager.emitCriticalFrame(event, frame));
  }, managers);
  return report;
}
