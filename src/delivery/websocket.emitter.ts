import { Inject, Injectable, Optional } from '@nestjs/common';

import {
  count,
  type DeliveryReport,
  type DeliveryResult,
  emptyReport,
  encodeFrame,
  type Frame,
} from '../manager/delivery-result.js';
import { SendFailedError } from '../manager/manager.errors.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { Resume } from '../resume/resume.service.js';
import type { ThreadKey } from '../resume/thread-history.js';

/** Whoever is there when the message is sent. */
export interface Audience {
  /**
   * Sends `{"event", "data"}` to everyone; serialised once. Looks connections up, never makes any, and
   * never throws: nobody there is a report of zeros.
   */
  send(event: string, data?: unknown): DeliveryReport;
}

/** Whoever has a thread open, and with `resume` on, whoever comes back to it. */
export interface ThreadAudience extends Audience {
  /**
   * As `send`, for what must not get lost: with `resume` on it is kept even while nobody is there, within
   * the bounds; without, it goes to each connection that is there with `emitCritical`.
   *
   * @throws {SendFailedError} when the data is not JSON
   */
  sendCritical(event: string, data?: unknown): DeliveryReport;
}

/**
 * Reaches connections from anywhere: a controller, a queue worker, another user's handler.
 *
 * @example `emitter.toUser(userId).send('invoice-paid', { id })`
 */
@Injectable()
export class WebSocketEmitter {
  constructor(
    private readonly factory: WebSocketManagerFactory,
    @Optional() @Inject(Resume) private readonly resume?: Resume,
  ) {}

  /** All connections of a user. */
  toUser(userId: string): Audience {
    return this.#audience(() => this.factory.managersOf(userId));
  }

  /** All connections that a user has open on one thread. */
  toThread(userId: string, threadId: string): ThreadAudience {
    const thread = { userId, threadId };
    return {
      send: (event, data) => this.#sendToThread(thread, event, data),
      sendCritical: (event, data) => this.#sendCriticalToThread(thread, event, data),
    };
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

  #sendToThread(thread: ThreadKey, event: string, data: unknown): DeliveryReport {
    const body = this.resume && encodeFrame(event, data);
    const recorded = body && this.resume?.publish(thread, { body, isCritical: false });
    return recorded || deliver(this.#managersOf(thread), event, data);
  }

  #sendCriticalToThread(thread: ThreadKey, event: string, data: unknown): DeliveryReport {
    const body = encodeFrame(event, data);
    if (body === undefined) throw new SendFailedError('the data cannot be written as JSON');
    const recorded = this.resume?.publish(thread, { body, isCritical: true });
    if (recorded) return recorded;
    const report = emptyReport();
    for (const manager of this.#managersOf(thread))
      count(report, manager.emitCritical(event, data));
    return report;
  }

  #managersOf({ userId, threadId }: ThreadKey): WebSocketManager[] {
    return this.factory.managersOfThread(userId, threadId);
  }
}

function deliver(
  managers: readonly WebSocketManager[],
  event: string,
  data: unknown,
): DeliveryReport {
  const report = emptyReport();
  if (managers.length === 0) return report;
  const text = encodeFrame(event, data);
  // `ws` would turn a text into bytes once for every receiver.
  const frame: Frame | undefined =
    text !== undefined && managers.length > 1 ? Buffer.from(text) : text;
  for (const manager of managers) {
    const result: DeliveryResult =
      frame === undefined ? { dropped: 'unserializable' } : manager.sendFrame(frame);
    count(report, result);
  }
  return report;
}
