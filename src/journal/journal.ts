import { type Channel, channel } from 'node:diagnostics_channel';

import { Logger } from '@nestjs/common';

import type { Clock } from '../clock/clock.js';
import type { EventSubject, IsolationEventName, IsolationEvents } from './isolation-events.js';

type Level = 'debug' | 'log' | 'warn' | 'error';

// An operator reads `log` and above: what cleanup took, who was refused, what broke. The coming and
// going of every connection is `debug`.
const LEVELS: Readonly<Record<IsolationEventName, Level>> = {
  'manager-created': 'debug',
  'manager-closing': 'debug',
  'manager-disposed': 'debug',
  'manager-removed': 'log',
  'connection-opened': 'debug',
  'connection-ready': 'debug',
  'connection-refused': 'warn',
  'message-dropped': 'debug',
  'thread-mismatch': 'warn',
  'handler-failed': 'error',
  'hook-failed': 'error',
  'disposal-fault': 'error',
  'critical-undelivered': 'warn',
  'isolation-violation': 'error',
  'thread-inconsistent': 'warn',
  'cleanup-finished': 'debug',
  'leak-suspected': 'warn',
  'drain-started': 'log',
  'drain-finished': 'log',
};

/** Lines of one event per second; what is above is counted and said in the next line. */
const LINES_PER_SECOND = 10;

/**
 * Where the library says what happens: one structured log line and one diagnostics event each. Never
 * a payload, never a token.
 */
export class Journal {
  readonly #logger = new Logger('WebSocketIsolation');
  readonly #channels = new Map<IsolationEventName, Channel>();
  readonly #windows = new Map<IsolationEventName, { since: number; lines: number }>();

  constructor(private readonly clock: Clock) {
    for (const name of Object.keys(LEVELS) as IsolationEventName[]) {
      this.#channels.set(name, channel(`websocket-isolation:${name}`));
    }
  }

  /** Whether anybody would notice: lets hot paths skip making the details. */
  isHeard(name: IsolationEventName): boolean {
    return this.#channels.get(name)!.hasSubscribers || this.#isLogged(name);
  }

  record<Name extends IsolationEventName>(name: Name, details: IsolationEvents[Name]): void {
    const events = this.#channels.get(name)!;
    if (events.hasSubscribers) events.publish(details);
    if (!this.#isLogged(name)) return;
    const suppressed = this.#admit(name);
    if (suppressed === undefined) return;
    this.#write(
      LEVELS[name],
      line(name, { ...details, ...(suppressed && { suppressed }) }),
      details,
    );
  }

  #isLogged(name: IsolationEventName): boolean {
    return Logger.isLevelEnabled(LEVELS[name]);
  }

  // How many lines were left out since the last one; `undefined` when this one is left out too.
  #admit(name: IsolationEventName): number | undefined {
    const now = this.clock.now();
    const window = this.#windows.get(name);
    if (!window || now - window.since >= 1000) {
      this.#windows.set(name, { since: now, lines: 1 });
      return Math.max(0, (window?.lines ?? 0) - LINES_PER_SECOND);
    }
    window.lines += 1;
    return window.lines <= LINES_PER_SECOND ? 0 : undefined;
  }

  #write(level: Level, text: string, details: object): void {
    const { error } = details as { error?: unknown };
    if (level === 'error' && error instanceof Error) this.#logger.error(text, error.stack);
    else this.#logger[level](text);
  }
}

/** Whom a context is about, as events and log lines name it. */
export function subjectOf(context: EventSubject): EventSubject {
  const { userId, threadId, connectionId, isolationKey } = context;
  return { userId, threadId, connectionId, isolationKey };
}

// logfmt: one line, `key=value`, machine-readable and still pleasant to read.
function line(name: string, details: object): string {
  const pairs = Object.entries(details).flatMap(([key, value]) => pairsOf(key, value));
  return [name, ...pairs].join(' ');
}

function pairsOf(key: string, value: unknown): string[] {
  if (value === undefined || key === 'error') return [];
  if (typeof value === 'number') return [`${key}=${Math.round(value * 1000) / 1000}`];
  if (Array.isArray(value)) return [`${key}=${quote(value.join(','))}`];
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([inner, item]) => pairsOf(inner, item));
  }
  return [`${key}=${quote(String(value))}`];
}

function quote(value: string): string {
  return /^[\w.:@%/-]+$/.test(value) ? value : JSON.stringify(value);
}
