import { subscribe } from 'node:diagnostics_channel';

import type {
  CleanupReport,
  IsolationEventName,
  IsolationEvents,
} from 'nestjs-websocket-isolation';

/** The history of a user's connections, from the library's events and the app's disposers. */
export interface UserBook {
  /** Connection ids, in the order in which their managers were created. */
  readonly created: string[];
  /** Ids of connections that got their socket, and with it a scope. */
  readonly opened: string[];
  /** Connections that a cleanup removed, with cause and close code. */
  readonly removed: {
    readonly connectionId: string;
    readonly cause: string;
    readonly code: number;
  }[];
  /** Connection ids of disposed managers. */
  readonly disposed: string[];
  /** Connection ids of scoped services that were disposed of. */
  readonly services: string[];
  /** Thread ids in messages that differ from the thread id of the connection. */
  readonly mismatches: string[];
  /** Messages that reached a handler. */
  handled: number;
}

type Listener<Name extends IsolationEventName> = (event: IsolationEvents[Name]) => void;

/** Records the events of the process by user. It holds ids only, never a manager, so that it causes no leaks. */
export class Book {
  readonly cleanups: CleanupReport[] = [];
  /** The number of isolation violations: a connection was requested with the context of another user. */
  violations = 0;
  readonly #users = new Map<string, UserBook>();

  /** Subscribes to the library's events. */
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
