import { runOutsideContext } from '../context/running-code.js';
import {
  count,
  type DeliveryReport,
  type DeliveryResult,
  emptyReport,
} from '../wire/delivery-result.js';
import type { Frame } from '../wire/frame-encoding.js';
import { TextFrame } from '../wire/text-frame.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** Sends a frame to one connection; returns `undefined` when the frame is not for that connection. */
export type Hand = (manager: WebSocketManager, frame: Frame) => DeliveryResult | undefined;

/** Sends one text to several connections, and counts the results. */
export function fanOut(
  managers: readonly WebSocketManager[],
  text: string,
  hand: Hand,
): DeliveryReport {
  const report = emptyReport();
  const handTo = (manager: WebSocketManager, frame: Frame): void => {
    const result = hand(manager, frame);
    if (result) count(report, result);
  };
  if (managers.length === 1) handTo(managers[0]!, text);
  if (managers.length < 2) return report;
  const frame = TextFrame.of(text);
  // The writes belong to other connections, so they run outside the context of the handler that sends.
  runOutsideContext((all) => {
    for (const manager of all) handTo(manager, frame);
  }, managers);
  return report;
}
