import type { Release } from '../time/clock.js';
import type { Position } from './position.js';
import type { ClusterAnswers } from './cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';

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

/** How much is kept of one thread. */
export interface HistoryBounds {
  /** How long an event is kept, and a thread's place after it was left. */
  readonly windowMs: number;
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** How much one read answers at most: what a socket takes in one go. */
export const CHUNK_BYTES = 65_536;
/** What an event counts beside its text. */
export const EVENT_OVERHEAD_BYTES = 128;

/** Whoever hands events on to the connections. */
export interface HistoryListener {
  /** An event of a thread that is open here; each thread's come in their order, one of them now and then not at all. */
  recorded(thread: ThreadKey, epoch: string, event: RecordedEvent): DeliveryReport;
  /** Something may have been missed: whoever has the thread open should read on. */
  doubtful(thread: ThreadKey): void;
}

/**
 * Where the events of threads are kept for those who come back: within bounds of events, bytes and
 * time. What was dropped is never passed over: it is a gap.
 */
export interface ThreadHistory {
  /** Sets who hands events on. Called once, before anything is recorded. */
  useListener(listener: HistoryListener): void;
  /** Somebody has the thread open: it is kept until that is released, and for the window after. */
  open(thread: ThreadKey): Release;
  /**
   * Records an event and hands it to the listener. Answers what became of it; `'on-its-way'` when it is
   * handed on later; `'unwanted'` when it is not kept: nobody has, or had within the window, the thread open.
   */
  append(thread: ThreadKey, event: ThreadEvent): DeliveryReport | 'on-its-way' | 'unwanted';
  /** As `append`, and tells what became of it on every node; only where `append` says `'on-its-way'`. */
  appendAndReport?(thread: ThreadKey, event: ThreadEvent): Promise<ClusterAnswers<DeliveryReport>>;
  /** What came after a position; without one, nothing but where the thread stands. */
  read(thread: ThreadKey, after: Position | undefined): Stretch | Promise<Stretch>;
  /** The critical events that are left, for somebody who was never there. Not those for one connection. */
  readCritical(thread: ThreadKey): Stretch | Promise<Stretch>;
  /** Forgets everything and stops its timers. */
  dispose(): void;
}
