import { type Channel, channel } from 'node:diagnostics_channel';

import { Logger } from '@nestjs/common';

import type { Release } from '../time/clock.js';
import { runOutsideContext } from '../context/running-code.js';
import { ISOLATION_EVENT_NAMES } from './event-levels.js';
import type { IsolationEventName, IsolationEvents } from './isolation-events.js';

/** Gets the details of one event. */
export type IsolationEventListener<Name extends IsolationEventName> = (
  details: IsolationEvents[Name],
) => void | Promise<void>;

/** Gets the name and the details of every event. */
export type AnyIsolationEventListener = <Name extends IsolationEventName>(
  name: Name,
  details: IsolationEvents[Name],
) => void | Promise<void>;

type Listener = (details: object, name: string) => unknown;

/**
 * The events of this application's connections, typed and published synchronously. The same events go out on
 * `node:diagnostics_channel` under `websocket-isolation:<event>`, for all applications of a process. The details of an
 * event without a listener are not even made.
 *
 * @example
 * ```ts
 * const release = bus.on('connection-refused', ({ reason }) => alarm(reason));
 * ```
 */
export class IsolationEventBus {
  readonly #logger = new Logger('WebSocketIsolation');
  readonly #topics = new Map<string, Topic>();

  constructor() {
    const report = (name: string, error: unknown): void =>
      this.#logger.error(`A listener for the event "${name}" failed.`, error);
    for (const name of ISOLATION_EVENT_NAMES) this.#topics.set(name, new Topic(name, report));
  }

  /**
   * Calls the listener for every event of one name, before the code that caused the event goes on. The listener runs
   * outside of any connection's context: `UserExecutionContext.current()` throws there, and the event names the
   * connection that it is about. An error that the listener throws (or rejects with) is logged and goes no further.
   *
   * @returns a function that removes the listener
   * @throws {TypeError} for an unknown event name, or a listener that is not a function
   */
  on<Name extends IsolationEventName>(name: Name, listener: IsolationEventListener<Name>): Release {
    assertListener(listener);
    const topic = this.#topics.get(name);
    if (!topic) {
      const names = ISOLATION_EVENT_NAMES.join(', ');
      throw new TypeError(`There is no event "${name}". There are: ${names}.`);
    }
    return topic.add(listener as unknown as Listener);
  }

  /** As {@link on}, for every event. Costs something on every message. */
  onAny(listener: AnyIsolationEventListener): Release {
    assertListener(listener);
    const any: Listener = (details, name) => listener(name as IsolationEventName, details as never);
    const releases = [...this.#topics.values()].map((topic) => topic.add(any));
    return () => releases.forEach((release) => release());
  }

  /** @internal One event, for code that publishes it often. */
  topic<Name extends IsolationEventName>(name: Name): Topic<Name> {
    return this.#topics.get(name)!;
  }
}

function assertListener(listener: unknown): void {
  if (typeof listener === 'function') return;
  throw new TypeError(`Expected a listener for events to be a function, got ${typeof listener}.`);
}

/** One event: its diagnostics channel and its listeners in this application. */
export class Topic<Name extends IsolationEventName = IsolationEventName> {
  readonly #channel: Channel;
  // Replaced, never changed: a listener may be removed while the others are called.
  #listeners: readonly Listener[] = [];

  constructor(
    readonly name: string,
    private readonly report: (name: string, error: unknown) => void,
  ) {
    this.#channel = channel(`websocket-isolation:${name}`);
  }

  get isHeard(): boolean {
    return this.#listeners.length > 0 || this.#channel.hasSubscribers;
  }

  add(listener: Listener): Release {
    // Each call adds an entry of its own: the same function may listen twice, and each release removes one entry.
    const entry: Listener = (details, name) => listener(details, name);
    this.#listeners = [...this.#listeners, entry];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== entry);
    };
  }

  publish(details: IsolationEvents[Name]): void {
    if (!this.isHeard) return;
    // A listener is code of the process, not of the connection that the event is about.
    runOutsideContext(this.#publish, details);
  }

  readonly #publish = (details: IsolationEvents[Name]): void => {
    if (this.#channel.hasSubscribers) this.#channel.publish(details);
    for (const listener of this.#listeners) {
      try {
        const result = listener(details, this.name);
        if (result instanceof Promise) result.catch((error) => this.report(this.name, error));
      } catch (error) {
        this.report(this.name, error);
      }
    }
  };
}
