import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { Injectable, type OnModuleDestroy } from '@nestjs/common';

export interface LoggedEvent {
  readonly at: number;
  readonly name: string;
  readonly details: unknown;
}

const CHANNELS = ['manager-removed', 'connection-refused', 'cleanup-finished', 'thread-mismatch'];
const KEPT = 100;

/** The latest events of the library, for the page. */
@Injectable()
export class EventLog implements OnModuleDestroy {
  readonly #events: LoggedEvent[] = [];

  constructor() {
    for (const name of CHANNELS) subscribe(`websocket-isolation:${name}`, this.#remember);
  }

  onModuleDestroy(): void {
    for (const name of CHANNELS) unsubscribe(`websocket-isolation:${name}`, this.#remember);
  }

  get latest(): readonly LoggedEvent[] {
    return this.#events;
  }

  readonly #remember = (details: unknown, channel: string | symbol): void => {
    // A cleanup that found nothing is no news.
    if ((details as { removed?: number }).removed === 0) return;
    const name = String(channel).replace('websocket-isolation:', '');
    this.#events.push({ at: Date.now(), name, details });
    if (this.#events.length > KEPT) this.#events.shift();
  };
}
