import type { IncomingMessage } from 'node:http';

import type { DeliveryTarget } from '../cluster/cluster-delivery.js';
import type { StreamOutcome } from '../journal/isolation-events.js';
import type { AskTarget } from '../manager/asking.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { DeliveryReport } from '../wire/delivery-result.js';

/** Work in progress that is traced. */
export interface TracedStep {
  /** Runs a part of the work. Code that the part calls runs inside the traced step. */
  run<T>(part: () => T): T;
  /** The work has failed; {@link end} follows. */
  fail(error: unknown): void;
  /** The work has ended. Called once. */
  end(): void;
}

/** A traced stream. {@link ended} ends it. */
export interface TracedStream extends Pick<TracedStep, 'run' | 'fail'> {
  ended(outcome: StreamOutcome, items: number): void;
}

/** Why and how a handshake was refused. */
export interface TracedRefusal {
  readonly reason: string;
  /** The HTTP status that stands for the refusal. */
  readonly status: number;
  /** Where `handshake.rejectWith` closes, the client gets 101, and then this code. */
  readonly closeCode?: number;
}

/** A traced message to an audience. Exactly one of the methods other than `run` ends it. */
export interface TracedSend extends Pick<TracedStep, 'run'> {
  ended(report: DeliveryReport): void;
  /** No connection gets the message, for its event or its data. */
  failed(error: unknown): void;
}

/** A traced handshake. Exactly one of the methods other than `run` ends it. */
export interface TracedHandshake extends Pick<TracedStep, 'run'> {
  admitted(manager: WebSocketManager): void;
  refused(refusal: TracedRefusal): void;
  /** The client has disconnected. */
  gone(): void;
}

/** Follows work while it happens; events report it only afterwards. */
export interface Tracer {
  /** @param address of the client, as `handshake.logAddresses` shows it */
  handshake(request: IncomingMessage, path: string, address?: string): TracedHandshake;
  /** The connect hooks of a connection. */
  connect(manager: WebSocketManager, path: string): TracedStep;
  /** One renewal of the identity of a connection. */
  renewal(manager: WebSocketManager, path: string): TracedStep;
  /** One message and its handler. */
  message(manager: WebSocketManager, path: string, event: string): TracedStep;
  /** A stream that a handler has returned, inside its message. */
  stream(manager: WebSocketManager, path: string, event: string): TracedStream;
  /** A question to clients, from its start to its answer. */
  ask(target: AskTarget, event: string): TracedStep;
  /** A message to an audience of the emitter: a user, a thread, a connection, a topic or all connections. */
  send(target: DeliveryTarget, event: string): TracedSend;
}
