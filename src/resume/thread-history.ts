import type { Release } from '../clock/clock.js';
import type { Position } from './position.js';

/** Whose conversation it is. Nothing is ever read with the thread's id alone. */
export interface ThreadKey {
  readonly userId: string;
  readonly threadId: string;
}

/** An event of a thread. */
export interface ThreadEvent {
  /** The frame `{"event", "data"}`, without its position. */
  readonly body: string;
  /** Kept even for a thread that nobody has open. */
  readonly isCritical: boolean;
  /** Meant for one connection, and for whoever resumes after it; the thread's others do not see it. */
  readonly onlyFor?: string | undefined;
}

/** An event in its place. */
export interface RecordedEvent extends ThreadEvent {
  readonly offset: number;
}

/** A part of a history. */
export interface Stretch {
  readonly epoch: string;
  /** The offset of the latest event there was. */
  readonly head: number;
  /** Events may be missing between the position that was asked for and the first of these. */
  readonly isGap: boolean;
  /** Without holes, from the position that was asked for or, after a gap, from the first that is left. */
  readonly events: readonly RecordedEvent[];
  /** The offset up to which this part goes: those of `events`, or everything there was. */
  readonly end: number;
}

/** Gets the events of the threads that are open here, each thread's in their order. */
export type HistoryListener = (thread: ThreadKey, epoch: string, event: RecordedEvent) => void;

/**
 * Where the events of threads are kept for those who come back: within bounds of events, bytes and
 * time. What was dropped is never passed over: it is a gap.
 */
export interface ThreadHistory {
  /** Calls back with every event that is recorded. Called once, by whoever hands them on. */
  listen(listener: HistoryListener): void;
  /** Somebody has the thread open: it is kept until that is released, and for the window after. */
  open(thread: ThreadKey): Release;
  /**
   * Records an event and hands it to the listener: before it returns, or when it is in its place.
   * `'unwanted'` when it does neither: nobody has, or had within the window, the thread open.
   */
  append(thread: ThreadKey, event: ThreadEvent): 'handed-on' | 'on-its-way' | 'unwanted';
  /** What came after a position; without one, nothing but where the thread stands. */
  read(thread: ThreadKey, after: Position | undefined): Stretch | Promise<Stretch>;
  /** The critical events that are left, for somebody who was never there. Not those for one connection. */
  readCritical(thread: ThreadKey): Stretch | Promise<Stretch>;
  /** Forgets everything and stops its timers. */
  dispose(): void;
}
