import type { Release } from '../time/clock.js';
import type { Position } from './position.js';
import type { ClusterAnswers } from './cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';

/** Identifies a thread of a user. A history is never read by the id of the thread alone. */
export interface ThreadKey {
  readonly userId: string;
  readonly threadId: string;
}

/** An event of a thread. */
export interface ThreadEvent {
  /** The frame `{"event", "data"}`, without its position. */
  readonly body: string;
  /** A critical event is recorded even for a thread that no connection has open. */
  readonly isCritical: boolean;
  /** The connection that gets the event. A client that resumes later gets it too; the thread's others do not. */
  readonly onlyFor?: string | undefined;
}

/** An event with its offset. */
export interface RecordedEvent extends ThreadEvent {
  readonly offset: number;
}

/** A part of a history. */
export interface Stretch {
  readonly epoch: string;
  /** The offset of the latest event of the thread. */
  readonly head: number;
  /** Events may be missing between the requested position and the first of `events`. */
  readonly isGap: boolean;
  /** Without holes, after the requested position or, after a gap, from the oldest event that is left. */
  readonly events: readonly RecordedEvent[];
  /** The offset at which this part ends: the last of `events`, or `head` where the part covers the whole thread. */
  readonly end: number;
}

/** The bounds of the history of one thread. */
export interface HistoryBounds {
  /** How long an event is kept, and how long a thread is kept after its last connection has left. */
  readonly windowMs: number;
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** A read returns no further events after this many bytes: about what a socket takes at once. */
export const CHUNK_BYTES = 65_536;
/** Bytes that an event counts beside its text. */
export const EVENT_OVERHEAD_BYTES = 128;

/** Hands events on to the connections. */
export interface HistoryListener {
  /** An event of a thread that is open here. Events of a thread come in order; in a cluster, one may be lost. */
  recorded(thread: ThreadKey, epoch: string, event: RecordedEvent): DeliveryReport;
  /** Events of the thread may have been missed: connections that have it open should read on. */
  doubtful(thread: ThreadKey): void;
}

/**
 * Keeps the events of threads for clients that reconnect, within bounds of events, bytes and time. Dropped events are
 * never skipped silently: a read reports them as a gap.
 */
export interface ThreadHistory {
  /** Sets the listener that hands events on. Called once, before anything is recorded. */
  useListener(listener: HistoryListener): void;
  /** Opens a thread for a connection. The thread is kept until the connection releases it, and for the window after. */
  open(thread: ThreadKey): Release;
  /**
   * Records an event and hands it to the listener. Returns the report of the listener; `'on-its-way'` when the event is
   * handed on later; `'unwanted'` when it is not recorded, because no connection has the thread open or had it open
   * within the window.
   */
  append(thread: ThreadKey, event: ThreadEvent): DeliveryReport | 'on-its-way' | 'unwanted';
  /** As `append`, and resolves to the reports of all nodes. Exists only where `append` returns `'on-its-way'`. */
  appendAndReport?(thread: ThreadKey, event: ThreadEvent): Promise<ClusterAnswers<DeliveryReport>>;
  /** The events after a position; without a position, no events but the head of the thread. */
  read(thread: ThreadKey, after: Position | undefined): Stretch | Promise<Stretch>;
  /** The critical events that are left, for a client that is new to the thread. Without those for one connection. */
  readCritical(thread: ThreadKey): Stretch | Promise<Stretch>;
  /** Drops everything and stops all timers. */
  dispose(): void;
}
