import type { Clock, Release } from '../time/clock.js';
import type { IsolationEventBus } from '../journal/event-bus.js';
import { FrequentKeys } from '../structures/frequent-keys.js';

/** Who and what an incident is about: the most frequent of each kind, with the number of events. */
export interface Culprits {
  readonly users: readonly { readonly userId: string; readonly times: number }[];
  readonly addresses: readonly { readonly address: string; readonly times: number }[];
  readonly paths: readonly { readonly path: string; readonly times: number }[];
}

/** The most frequent errors of handlers: the event, and the class of the error. */
export type FailingHandlers = readonly { readonly key: string; readonly times: number }[];

const CAPACITY = 100;
const NAMED = 3;
/** Milliseconds after which the counts begin anew, so that they are about what happens now. */
const WINDOW_MS = 60_000;

/** Counts who is refused and which handlers fail, in windows of a minute, in bounded memory. */
export class CulpritCounts {
  #now = new Window();
  #before = new Window();
  #since: number;

  constructor(
    private readonly clock: Clock,
    private readonly bus: IsolationEventBus,
  ) {
    this.#since = clock.now();
  }

  /** Subscribes to the events. Returns the function that unsubscribes. */
  listen(): Release {
    const releases = [
      this.bus.on('connection-refused', ({ userId, address, path }) => {
        const { users, addresses, paths } = this.#window();
        if (userId !== undefined) users.add(userId);
        if (address !== undefined) addresses.add(address);
        paths.add(path);
      }),
      this.bus.on('handler-failed', ({ event, error }) =>
        this.#window().failures.add(
          `${event}: ${error instanceof Error ? error.name : 'no error'}`,
        ),
      ),
    ];
    return () => releases.forEach((release) => release());
  }

  /** Who was refused in the last minute or two. */
  get refused(): Culprits {
    return {
      users: this.#top('users').map(({ key, times }) => ({ userId: key, times })),
      addresses: this.#top('addresses').map(({ key, times }) => ({ address: key, times })),
      paths: this.#top('paths').map(({ key, times }) => ({ path: key, times })),
    };
  }

  get failing(): FailingHandlers {
    return this.#top('failures');
  }

  // A window that has just begun says nothing yet.
  #top(name: keyof Window): FailingHandlers {
    const top = this.#window()[name].top(NAMED);
    return top.length > 0 ? top : this.#before[name].top(NAMED);
  }

  #window(): Window {
    const now = this.clock.now();
    const age = now - this.#since;
    if (age >= WINDOW_MS) {
      this.#before = age < 2 * WINDOW_MS ? this.#now : new Window();
      this.#now = new Window();
      this.#since = now;
    }
    return this.#now;
  }
}

class Window {
  readonly users = new FrequentKeys(CAPACITY);
  readonly addresses = new FrequentKeys(CAPACITY);
  readonly paths = new FrequentKeys(CAPACITY);
  readonly failures = new FrequentKeys(CAPACITY);
}
