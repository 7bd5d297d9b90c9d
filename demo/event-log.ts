import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { IsolationEventBus, type Release } from 'nestjs-websocket-isolation';

export interface LoggedEvent {
  readonly at: number;
  readonly name: string;
  readonly details: unknown;
}

const NAMES = [
  'manager-removed',
  'connection-refused',
  'cleanup-finished',
  'thread-mismatch',
] as const;
const KEPT = 100;

/** The latest events of the library, for the page. */
@Injectable()
export class EventLog implements OnModuleDestroy {
  readonly #events: LoggedEvent[] = [];
  readonly #releases: Release[];

  constructor(bus: IsolationEventBus) {
    this.#releases = NAMES.map((name) => bus.on(name, (details) => this.#remember(name, details)));
  }

  onModuleDestroy(): void {
    this.#releases.forEach((release) => release());
  }

  get latest(): readonly LoggedEvent[] {
    return this.#events;
  }

  #remember(name: string, details: object): void {
    // A cleanup that removed nothing is not logged.
    if ((details as { removed?: number }).removed === 0) return;
    this.#events.push({ at: Date.now(), name, details });
    if (this.#events.length > KEPT) this.#events.shift();
  }
}
