import type { StreamOutcome } from '../journal/isolation-events.js';
import { subjectOf } from '../journal/journal.js';
import type { OpenWork } from '../manager/asks.js';
import type { TracedStream } from '../monitoring/tracer.js';
import { type AnsweringConnection, eventName } from './answers.js';
import type { RunningCall } from './running-call.js';

/** The connection that a stream belongs to. */
export interface RecordedConnection extends AnsweringConnection {
  /** Path of the gateway. */
  readonly path: string;
}

/** What is known of one open stream: for statistics, events and spans. */
export class StreamRecord {
  /** Items that were sent. */
  items = 0;
  readonly #startedAt: number;
  readonly #event: string;
  readonly #traced: TracedStream | undefined;
  #outcome: StreamOutcome | undefined = undefined;

  constructor(
    private readonly connection: RecordedConnection,
    { message }: RunningCall,
  ) {
    const { clock, tracing } = connection.services;
    this.#startedAt = clock.now();
    this.#event = eventName(message);
    this.#traced = tracing.tracer?.stream(connection.manager, connection.path, this.#event);
  }

  /** Names the stream for pins and reports. */
  get label(): string {
    return `stream of ${this.#event.slice(0, 64)}`;
  }

  get open(): OpenWork {
    const ageMs = this.connection.services.clock.now() - this.#startedAt;
    return { event: this.#event, ageMs };
  }

  /** Runs code of the source inside the span of the stream. */
  run<T>(part: () => T): T {
    return this.#traced ? this.#traced.run(part) : part();
  }

  /** Why the stream is about to end. The first reason counts. */
  ends(outcome: StreamOutcome, error?: unknown): void {
    if (this.#outcome) return;
    this.#outcome = outcome;
    if (outcome === 'failed') this.#traced?.fail(error);
  }

  /** The stream has ended. Without an earlier reason, its source has ended, or its connection has closed. */
  ended(): void {
    const { services, manager, path } = this.connection;
    this.ends(manager.isActive ? 'completed' : 'closed');
    const outcome = this.#outcome!;
    this.#traced?.ended(outcome, this.items);
    if (!services.journal.isHeard('stream-ended')) return;
    const durationMs = services.clock.now() - this.#startedAt;
    const subject = subjectOf(manager.context);
    const { items } = this;
    const event = this.#event;
    services.journal.record('stream-ended', { subject, path, event, outcome, items, durationMs });
  }
}
