import { subscribe } from 'node:diagnostics_channel';

import type {
  CleanupReport,
  IsolationEventName,
  IsolationEvents,
} from 'nestjs-websocket-isolation';

/** What happened to one user's connections, as the library's own events and the app's disposers say. */
export interface UserBook {
  /** Connection ids, in the order in which their managers were made. */
  readonly created: string[];
  /** Connection ids of those that got their socket, and with it a scope. */
  readonly opened: string[];
  /** Whom cleanup took, why, and with what close code. */
  readonly removed: {
    readonly connectionId: string;
    readonly cause: string;
    readonly code: number;
  }[];
  /** Connection ids of managers that came to their end. */
  readonly disposed: string[];
  /** Connection ids of scoped services that were disposed of. */
  readonly services: string[];
  /** Thread ids that messages claimed and their connection did not have. */
  readonly mismatches: string[];
  /** Messages that reached a handler. */
  handled: number;
}

type Listener<Name extends IsolationEventName> = (event: IsolationEvents[Name]) => void;

/** Writes down what happens in the process, by user. It holds ids only, never a manager. */
export class Book {
  readonly cleanups: CleanupReport[] = [];
  /** How often somebody used what was not theirs, and was told so. */
  violations = 0;
  readonly #users = new Map<string, UserBook>();

  /** Begins to listen. */
  open(): void {
    listen('manager-created', ({ subject }) => {
      this.of(subject.userId).created.push(subject.connectionId);
    });
    listen('connection-opened', ({ subject }) => {
      this.of(subject.userId).opened.push(subject.connectionId);
    });
    listen('manager-removed', ({ subject: { userId, connectionId }, cause, code }) => {
      this.of(userId).removed.push({ connectionId, cause, code });
    });
    listen('manager-disposed', ({ subject }) => {
      this.of(subject.userId).disposed.push(subject.connectionId);
    });
    listen('thread-mismatch', ({ subject, claimedThreadId }) => {
      this.of(subject.userId).mismatches.push(claimedThreadId);
    });
    listen('isolation-violation', () => {
      this.violations += 1;
    });
    listen('cleanup-finished', (report) => {
      if (report.removed > 0) this.cleanups.push(report);
    });
  }

  of(userId: string): UserBook {
    let book = this.#users.get(userId);
    if (!book) {
      book = {
        created: [],
        opened: [],
        removed: [],
        disposed: [],
        services: [],
        mismatches: [],
        handled: 0,
      };
      this.#users.set(userId, book);
    }
    return book;
  }

  /** Connections whose scoped service was not disposed of exactly once. */
  get unevenDisposals(): string[] {
    return [...this.#users.values()].flatMap(({ opened, services }) =>
      opened.filter((id) => services.filter((disposed) => disposed === id).length !== 1),
    );
  }
}

function listen<Name extends IsolationEventName>(name: Name, listener: Listener<Name>): void {
  subscribe(`websocket-isolation:${name}`, listener as (event: unknown) => void);
}
