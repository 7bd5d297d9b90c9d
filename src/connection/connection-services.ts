import type { Clock } from '../time/clock.js';
import type { ClusterSlots } from '../cluster/cluster-slots.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import type { OptionGroups } from '../config/isolation.options.js';
import type { Topic } from '../journal/event-bus.js';
import type { Journal } from '../journal/journal.js';
import type { ByteBudget } from '../structures/byte-budget.js';
import type { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import type { Tracing } from '../monitoring/tracing.js';
import type { Resume } from '../resume/resume.service.js';
import type { MessageParser } from '../wire/message-parser.js';
import type { TrafficCounters } from './traffic-counters.js';
import type { UserRates } from './user-rates.js';

/** What every connection of a process shares. */
export interface ConnectionServices {
  readonly options: OptionGroups;
  readonly clock: Clock;
  readonly journal: Journal;
  /** The event of every message that was handled. */
  readonly handled: Topic<'message-handled'>;
  readonly tracing: Tracing;
  readonly tracker: ThreadConsistencyTracker;
  readonly traffic: TrafficCounters;
  readonly rates: UserRates;
  /** Reads a frame of a connection; a parser of the app runs as that connection. */
  readonly parse: (frame: Buffer, context: UserExecutionContext) => ReturnType<MessageParser>;
  /** Over the messages of all connections that wait for a handler. */
  readonly pending: ByteBudget;
  /** Whether messages may be handled at this moment. */
  readonly leases: Pick<ClusterSlots, 'freshUntil' | 'hold'>;
  /** Where `resume` is on. */
  readonly resume: Resume | undefined;
}
