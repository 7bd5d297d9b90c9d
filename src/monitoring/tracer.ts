import type { IncomingMessage } from 'node:http';

import type { WebSocketManager } from '../manager/web-socket-manager.js';

/** Something under way that is traced. */
export interface TracedStep {
  /** Runs a part of it. Whatever that calls sees itself inside of it. */
  run<T>(part: () => T): T;
  /** It has failed; {@link end} is still to come. */
  fail(error: unknown): void;
  /** It is over. Once. */
  end(): void;
}

/** A handshake that is traced. One of these ends it. */
export interface TracedHandshake extends Pick<TracedStep, 'run'> {
  admitted(manager: WebSocketManager): void;
  refused(reason: string, status: number): void;
  /** The client has left. */
  gone(): void;
}

/** Whoever follows what happens as it happens, and not only afterwards as events do. */
export interface Tracer {
  handshake(request: IncomingMessage, path: string): TracedHandshake;
  /** The connect hooks of a connection. */
  connect(manager: WebSocketManager, path: string): TracedStep;
  /** One message and its handler. */
  message(manager: WebSocketManager, path: string, event: string): TracedStep;
}
