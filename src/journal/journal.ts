import { Logger } from '@nestjs/common';
import { WsException } from '@nestjs/websockets';

import { SecondWindow } from '../structures/second-window.js';
import type { Clock } from '../time/clock.js';
import { errorText, stackOf } from '../errors/error-text.js';
import { isClientFault } from '../errors/http-status.js';
import { IsolationEventBus, type Topic } from './event-bus.js';
import { EVENT_LEVELS, type EventLevel } from './event-levels.js';
import type { EventSubject, IsolationEventName, IsolationEvents } from './isolation-events.js';
import { isLevelEnabled } from './level-enabled.js';

/** Lines of one event per second. Further lines are left out; the next line carries their number. */
const LINES_PER_SECOND = 10;
/** Never left out: an operator has to find every removed connection and every action of an operator. */
const ALWAYS_WRITTEN: ReadonlySet<IsolationEventName> = new Set([
  'manager-removed',
  'operator-action',
]);

/**
 * Publishes what happens in the library: one event and one structured log line each. Never a payload, never a token.
 */
export class Journal {
  readonly #logger = new Logger('WebSocketIsolation');
  readonly #windows = new Map<IsolationEventName, SecondWindow>();

  constructor(
    private readonly clock: Clock,
    private readonly bus: IsolationEventBus = new IsolationEventBus(),
  ) {}

  /** Whether an event has a listener or is logged: lets hot paths skip making the details. */
  isHeard(name: IsolationEventName): boolean {
    return this.bus.topic(name).isHeard || this.#isLogged(name);
  }

  /** One event, for hot paths that check it on every message. Only {@link record} writes its log lines. */
  topic<Name extends IsolationEventName>(name: Name): Topic<Name> {
    return this.bus.topic(name);
  }

  record<Name extends IsolationEventName>(name: Name, details: IsolationEvents[Name]): void {
    this.bus.topic(name).publish(details);
    const level = levelOf(name, details);
    if (level === 'never' || !isLevelEnabled(level)) return;
    const suppressed = this.#admit(name);
    if (suppressed === undefined) return;
    try {
      this.#write(level, line(name, { ...details, ...(suppressed && { suppressed }) }), details);
    } catch {
      // A logger of the app that throws must not end a connection.
    }
  }

  #isLogged(name: IsolationEventName): boolean {
    const level = EVENT_LEVELS[name];
    return level !== 'never' && isLevelEnabled(level);
  }

  // The number of lines left out since the last line; `undefined` when this line is left out too.
  #admit(name: IsolationEventName): number | undefined {
    if (ALWAYS_WRITTEN.has(name)) return 0;
    const now = this.clock.now();
    const last = this.#windows.get(name);
    const isOver = !last || last.isOver(now);
    const window = isOver ? new SecondWindow(LINES_PER_SECOND, now) : last;
    if (isOver) this.#windows.set(name, window);
    if (!window.admit()) return undefined;
    return isOver ? (last?.leftOut ?? 0) : 0;
  }

  #write(level: Exclude<EventLevel, 'never'>, text: string, details: object): void {
    const { error, status = 0 } = details as { error?: unknown; status?: number };
    // A refusal that a bug of the app causes (status 500 or above) is an error like any other.
    const isFault = level === 'error' || status >= 500;
    const stack = isFault ? stackOf(error) : undefined;
    if (error === undefined) this.#logger[level](text);
    else if (stack !== undefined) this.#logger.error(text, stack);
    else this.#logger[level](`${text} cause=${quote(errorText(error))}`);
  }
}

// Abandoned work is a warning, whatever the level of its event. A `WsException`, or an `HttpException` of 4xx, is an
// answer of the app to a client and no fault: clients could fill the log with those.
function levelOf(name: IsolationEventName, details: object): EventLevel {
  if (name === 'handler-failed') return isAnswer(details) ? 'debug' : EVENT_LEVELS[name];
  const { abandoned = 0 } = details as { abandoned?: number | readonly unknown[] };
  const count = typeof abandoned === 'number' ? abandoned : abandoned.length;
  return count > 0 ? 'warn' : EVENT_LEVELS[name];
}

function isAnswer({ error }: { error?: unknown }): boolean {
  return error instanceof WsException || isClientFault(error);
}

/** The subject of a context, as events and log lines name it. */
export function subjectOf(context: EventSubject): EventSubject {
  const { userId, threadId, connectionId, isolationKey } = context;
  return { userId, threadId, connectionId, isolationKey };
}

// logfmt: one line of `key=value`, readable by machines and by people.
function line(name: string, details: object): string {
  const pairs = Object.entries(details).flatMap(([key, value]) => pairsOf(key, value));
  return [name, ...pairs].join(' ');
}

function pairsOf(key: string, value: unknown): string[] {
  if (value === undefined || key === 'error') return [];
  if (typeof value === 'number') return [`${key}=${Math.round(value * 1000) / 1000}`];
  if (Array.isArray(value)) return [`${key}=${quote(listed(value))}`];
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([inner, item]) => pairsOf(inner, item));
  }
  return [`${key}=${quote(String(value))}`];
}

// `a,b`; as JSON where an item contains a comma itself, because two lists would read alike otherwise.
function listed(values: readonly unknown[]): string {
  const texts = values.map(String);
  const isPlain = texts.every(
    (text) => text !== '' && !text.includes(',') && !text.startsWith('['),
  );
  return isPlain ? texts.join(',') : JSON.stringify(texts);
}

function quote(value: string): string {
  return /^[\w.:@%/-]+$/.test(value) ? value : JSON.stringify(value);
}
