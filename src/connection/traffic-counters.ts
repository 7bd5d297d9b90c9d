import type { Fault } from '../handlers/exception-reply.js';

/** Why a message was not handled. A closed set. */
export type IgnoredReason =
  | 'not-json'
  | 'unknown-event'
  | 'thread-mismatch'
  | 'invalid-payload'
  | 'rate-limit'
  | 'pending-overflow'
  | 'closing';

/** An exception is a refusal by the app (a `WsException`, an `HttpException` of 4xx), or a failure. */
export type UnhandledReason = IgnoredReason | 'app-refused' | 'failed';

/** Counts the messages of all connections since the process started. */
export class TrafficCounters {
  received = 0;
  receivedBytes = 0;
  readonly ignored: Record<IgnoredReason, number> = {
    'not-json': 0,
    'unknown-event': 0,
    'thread-mismatch': 0,
    'invalid-payload': 0,
    'rate-limit': 0,
    'pending-overflow': 0,
    closing: 0,
  };
  /**
   * Messages that ended in an exception. `client`: code of the app refused them, by a `WsException` or an
   * `HttpException` of 4xx. `server`: every other error.
   */
  readonly failures: Record<Fault, number> = { client: 0, server: 0 };
  /** Handlers that run at this moment. */
  inFlight = 0;

  /** Messages that ended in an exception. */
  get failed(): number {
    return this.failures.client + this.failures.server;
  }

  /** Messages that were not handled, or whose handler ended in an exception, by reason. */
  get unhandled(): Record<UnhandledReason, number> {
    const { client, server } = this.failures;
    return { ...this.ignored, 'app-refused': client, failed: server };
  }

  /** Counts a frame of a client. */
  count(frame: Buffer): void {
    this.received += 1;
    this.receivedBytes += frame.length;
  }
}
