import type { Release } from '../time/clock.js';
import type { HistoryKey } from './history-key.js';
import type { Position } from './position.js';
import type { PositionSeal } from './position-seal.js';
import type { ClusterAnswers } from './cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';

/** Connections that do not get an event: one, or all of a user. */
export type Excepted = { readonly connectionId: string } | { readonly userId: string };

/** An event of a thread or a topic. */
export interface HistoryEvent {
  /** The frame `{"event", "data"}`, without its position. */
  readonly body: string;
  /** A critical event is recorded even where no connection has the history open. */
  readonly isCritical: boolean;
  /** The connection that gets the event. A client that resumes later gets it too; the thread's others do not. */
  readonly onlyFor?: string | undefined;
  /** The connections that do not get the event, also when their clients resume. */
  readonly except?: readonly Excepted[] | undefined;
}

/** An event with its offset. */
export interface RecordedEvent extends HistoryEvent {
  readonly offset: number;
}

/** A part of a history. */
export interface Stretch {
  readonly epoch: string;
  /** The offset of the latest event. */
  readonly head: number;
  /** Events may be missing between the requested position and the first of `events`. */
  readonly isGap: boolean;
  /** Without holes, after the requested position or, after a gap, from the oldest event that is left. */
  readonly events: readonly RecordedEvent[];
  /** The offset at which this part ends: the last of `events`, or `head` where the part covers the whole history. */
  readonly end: number;
}

/** The bounds of one history. */
export interface HistoryBounds {
  /** How long an event is kept, and how long a history is kept after its last connection has left. */
  readonly windowMs: number;
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** The bounds of one history, and of all that one process records in. */
export interface TotalBounds extends HistoryBounds {
  readonly maxTotalBytes: number;
}

/** What is kept of one history. */
export interface KeptEvents {
  readonly events: number;
  readonly bytes: number;
}

/** A read returns no further events after this many bytes: about what a socket takes at once. */
export const CHUNK_BYTES = 65_536;
/** Bytes that an event counts beside its text. */
export const EVENT_OVERHEAD_BYTES = 128;

/** Hands events on to the connections. */
export interface HistoryListener<Key> {
  /** An event of a history that is open here. Events of one history come in order; in a cluster, one may be lost. */
  recorded(key: Key, epoch: string, event: RecordedEvent): DeliveryReport;
  /** Events may have been missed: connections that have the history open should read on. */
  doubtful(key: Key): void;
}

/**
 * Keeps the events of threads, or of topics, for clients that reconnect, within bounds of events, bytes and time.
 * Dropped events are never skipped silently: a read reports them as a gap.
 */
export interface EventHistory<Key extends HistoryKey = HistoryKey> {
  /** Sets the listener that hands events on. Called once, before anything is recorded. */
  useListener(listener: HistoryListener<Key>): void;
  /** Opens a history for a connection. It is kept until the connection releases it, and for the window after. */
  open(key: Key): Release;
  /**
   * Records an event and hands it to the listener. Returns the report of the listener; `'on-its-way'` when the event is
   * handed on later; `'unwanted'` when it is not recorded, because no connection has the history open or had it open
   * within the window.
   */
  append(key: Key, event: HistoryEvent): DeliveryReport | 'on-its-way' | 'unwanted';
  /** As `append`, and resolves to the reports of all nodes. Exists only where `append` returns `'on-its-way'`. */
  appendAndReport?(key: Key, event: HistoryEvent): Promise<ClusterAnswers<DeliveryReport>>;
  /** The events after a position; without a position, no events but the head. */
  read(key: Key, after: Position | undefined): Stretch | Promise<Stretch>;
  /** The critical events that are left, for a client that is new to the history. Without those for one connection. */
  readCritical(key: Key): Stretch | Promise<Stretch>;
  /** Seals the epochs of threads. Without it, no position is credible before authentication. */
  readonly seal?: PositionSeal;
  /** How many histories are kept in the memory of this process. Exists only where they are kept there. */
  readonly size?: number;
  /** Bytes of all events that are kept in the memory of this process. Exists only where they are kept there. */
  readonly bytes?: number;
  /** What is kept of one history in the memory of this process. Exists only where it is kept there. */
  kept?(key: Key): KeptEvents | undefined;
  /** Drops everything and stops all timers. */
  dispose(): void;
}

/** Whether an event is for a connection. */
export function isFor(
  { onlyFor, except }: HistoryEvent,
  context: { readonly connectionId: string; readonly userId: string },
): boolean {
  return (
    (onlyFor === undefined || onlyFor === context.connectionId) && !isExcepted(context, except)
  );
}

/** Whether a connection is among those that do not get an event. */
export function isExcepted(
  context: { readonly connectionId: string; readonly userId: string },
  except: readonly Excepted[] | undefined,
): boolean {
  if (except === undefined) return false;
  return except.some((each) =>
    'connectionId' in each
      ? each.connectionId === context.connectionId
      : each.userId === context.userId,
  );
}
