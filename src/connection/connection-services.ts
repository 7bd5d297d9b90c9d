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
import type { TopicRequests } from '../topics/topic-requests.js';
import type { Codec, Codecs } from '../wire/codecs.js';
import type { MessageParser } from '../wire/message-parser.js';
import type { Renewals } from './renewals.js';
import type { TrafficCounters } from './traffic-counters.js';
import type { UserRates } from './user-rates.js';

/** The services that all connections of a process share. */
export interface ConnectionServices {
  readonly options: OptionGroups;
  readonly clock: Clock;
  readonly journal: Journal;
  /** Publishes an event for every message that was handled. */
  readonly handled: Topic<'message-handled'>;
  readonly tracing: Tracing;
  readonly tracker: ThreadConsistencyTracker;
  readonly traffic: TrafficCounters;
  readonly rates: UserRates;
  /** The codecs of the app; `undefined` without any. */
  readonly codecs: Codecs | undefined;
  /**
   * Parses a frame of a connection, with the codec that it has agreed on. A parser or codec of the app runs in the context
   * of that connection.
   */
  readonly parse: (
    frame: Buffer,
    context: UserExecutionContext,
    codec: Codec | undefined,
  ) => ReturnType<MessageParser>;
  /** Bounds the bytes of all messages in this process that wait for a handler. */
  readonly pending: ByteBudget;
  /** The leases of the cluster: messages are handled only while these are fresh. */
  readonly leases: Pick<ClusterSlots, 'freshUntil' | 'hold'>;
  /** Handles the messages with which clients join and leave topics. */
  readonly topics: TopicRequests;
  /** `undefined` if the authenticator cannot renew identities. */
  readonly renewals: Renewals | undefined;
  /** `undefined` if `resume` is off. */
  readonly resume: Resume | undefined;
}
