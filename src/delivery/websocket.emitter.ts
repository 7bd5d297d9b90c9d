import { Injectable } from '@nestjs/common';

import { type DeliveryResult, encodeFrame, type Frame } from '../manager/delivery-result.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';

/** What became of a message to several connections, in numbers of connections. */
export interface DeliveryReport {
  /** Handed to the operating system. */
  readonly sent: number;
  /** Waiting behind earlier messages of a reader that is not as fast. */
  readonly queued: number;
  /** Closed, not attached, too slow, or the data is not JSON. */
  readonly dropped: number;
}

/** Whoever is there when the message is sent. */
export interface Audience {
  /**
   * Sends `{"event", "data"}` to everyone; serialised once. Looks connections up, never makes any, and
   * never throws: nobody there is a report of zeros.
   */
  send(event: string, data?: unknown): DeliveryReport;
}

/**
 * Reaches connections from anywhere: a controller, a queue worker, another user's handler.
 *
 * @example `emitter.toUser(userId).send('invoice-paid', { id })`
 */
@Injectable()
export class WebSocketEmitter {
  constructor(private readonly factory: WebSocketManagerFactory) {}

  /** All connections of a user. */
  toUser(userId: string): Audience {
    return this.#audience(() => this.factory.managersOf(userId));
  }

  /** All connections that a user has open on one thread. */
  toThread(userId: string, threadId: string): Audience {
    return this.#audience(() => this.factory.managersOfThread(userId, threadId));
  }

  /** One connection. */
  toConnection(connectionId: string): Audience {
    return this.#audience(() => {
      const manager = this.factory.getManager(connectionId);
      return manager ? [manager] : [];
    });
  }

  #audience(managers: () => readonly WebSocketManager[]): Audience {
    return { send: (event, data) => deliver(managers(), event, data) };
  }
}

function deliver(
  managers: readonly WebSocketManager[],
  event: string,
  data: unknown,
): DeliveryReport {
  const report = { sent: 0, queued: 0, dropped: 0 };
  if (managers.length === 0) return report;
  const text = encodeFrame(event, data);
  // `ws` would turn a text into bytes once for every receiver.
  const frame: Frame | undefined =
    text !== undefined && managers.length > 1 ? Buffer.from(text) : text;
  for (const manager of managers) {
    const result: DeliveryResult =
      frame === undefined ? { dropped: 'unserializable' } : manager.sendFrame(frame);
    report[typeof result === 'string' ? result : 'dropped'] += 1;
  }
  return report;
}
