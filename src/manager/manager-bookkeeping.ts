import type { ResolvedOptions } from '../config/isolation.options.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import { ByteBudget } from '../structures/byte-budget.js';
import { Plug, type Unplug } from '../structures/plug.js';
import type { Clock } from '../time/clock.js';
import { CloseCode, type CloseReason } from '../wire/close-codes.js';
import { Codecs } from '../wire/codecs.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import type { CriticalMessage } from './critical-outbox.js';
import { Asks, type EndedAsk } from './asks.js';
import { creationSiteOf, noteCreationSite } from './creation-site.js';
import { LatestFrames } from './latest-frames.js';
import type { ManagerOwner, TopicMemberships, UnsentReason } from './manager-owner.js';
import type { ManagerRegistry } from './manager-registry.js';
import type { SlotReclaimer } from './slot-reclaimer.js';
import { WebSocketManager } from './web-socket-manager.js';

/** Records a critical message of a connection in the history of its thread. */
export type CriticalRecorder = (manager: WebSocketManager, frame: string) => DeliveryResult;

/** Keeps the registry, the ring of pings, the slots and the journal in step with the events of managers. */
export class ManagerBookkeeping implements ManagerOwner<WebSocketManager> {
  readonly waiting: ByteBudget;
  readonly asks: Asks<WebSocketManager>;
  readonly latest: LatestFrames<WebSocketManager>;
  readonly codecs: Codecs | undefined;
  /** Sockets attached since the start. */
  connections = 0;
  sentBytes = 0;
  readonly unsent: Record<UnsentReason, number> = {
    unserializable: 0,
    'slow-reader': 0,
    socket: 0,
    timeout: 0,
  };
  readonly #criticalRecorder = new Plug<CriticalRecorder>();
  readonly #topics = new Plug<TopicMemberships<WebSocketManager>>();

  constructor(
    readonly clock: Clock,
    readonly options: ResolvedOptions,
    private readonly registry: ManagerRegistry,
    private readonly journal: Journal,
    private readonly reclaimer: Pick<SlotReclaimer, 'watch'>,
    private readonly releaseSlot: (manager: WebSocketManager) => void,
  ) {
    this.asks = new Asks(clock, options.inbound.maxAsks, (ended) => this.#askEnded(ended));
    const { maxBufferedBytes, maxBufferedBytesTotal, streamLowWaterBytes } = options.outbound;
    this.waiting = new ByteBudget(maxBufferedBytesTotal);
    this.codecs = options.codec && new Codecs(options.codec);
    this.latest = new LatestFrames(streamLowWaterBytes, maxBufferedBytes);
  }

  /** A plug: records critical messages in their thread. Without it, they wait for their own connection. */
  useCriticalRecorder(record: CriticalRecorder): Unplug {
    return this.#criticalRecorder.use(record);
  }

  /** A plug: keeps the topics that managers are in. */
  useTopics(topics: TopicMemberships<WebSocketManager>): Unplug {
    return this.#topics.use(topics);
  }

  get topics(): TopicMemberships<WebSocketManager> | undefined {
    return this.#topics.part;
  }

  /** Creates the manager of a context and registers it, so that it holds a slot. */
  add(context: UserExecutionContext): WebSocketManager {
    const manager = new WebSocketManager(context, this);
    if (this.options.leaks.captureCreationSite) {
      noteCreationSite(manager, new Error('made here').stack);
    }
    this.registry.add(manager);
    this.reclaimer.watch(manager.slots!);
    if (this.journal.isHeard('manager-created')) {
      this.journal.record('manager-created', { subject: subjectOf(context) });
    }
    return manager;
  }

  /** What is kept beside the managers, with its name. It is deleted when a manager closes. */
  *kept(): Generator<readonly [WebSocketManager, string]> {
    for (const manager of this.asks.managers()) yield [manager, 'questions'];
    for (const manager of this.latest.managers()) yield [manager, 'latest messages'];
  }

  touched(manager: WebSocketManager): void {
    this.registry.touch(manager);
  }

  rearranged(manager: WebSocketManager): void {
    this.registry.rearrange(manager);
  }

  attached(manager: WebSocketManager): void {
    this.connections += 1;
    this.registry.pings.add(manager);
  }

  pinged(manager: WebSocketManager): void {
    this.registry.pings.pinged(manager);
  }

  answered(manager: WebSocketManager): void {
    this.registry.pings.answered(manager);
  }

  ponged({ context }: WebSocketManager, roundTripMs: number): void {
    if (!this.journal.isHeard('ping-answered')) return;
    this.journal.record('ping-answered', { subject: subjectOf(context), roundTripMs });
  }

  closing(manager: WebSocketManager, reason: CloseReason): void {
    const { journal } = this;
    this.registry.startClosing(manager);
    this.#topics.part?.leaveAll(manager);
    this.asks.close(manager);
    this.latest.close(manager);
    if (journal.isHeard('manager-closing')) {
      journal.record('manager-closing', { subject: subjectOf(manager.context), reason });
    }
    if (reason.code === CloseCode.SLOW_CONSUMER && journal.isHeard('slow-consumer')) {
      const { bufferedBytes } = manager;
      journal.record('slow-consumer', { subject: subjectOf(manager.context), bufferedBytes });
    }
  }

  slotGivenUp(manager: WebSocketManager): void {
    this.releaseSlot(manager);
  }

  socketGone(manager: WebSocketManager): void {
    // An arrival waits for this slot, and the rest of the disposal needs none.
    if (manager.slots && manager.slots.waiters.length > 0) this.releaseSlot(manager);
  }

  disposed(manager: WebSocketManager, reason: CloseReason): void {
    this.releaseSlot(manager);
    this.registry.remove(manager);
    if (!this.journal.isHeard('manager-disposed')) return;
    const now = this.clock.now();
    this.journal.record('manager-disposed', {
      subject: subjectOf(manager.context),
      reason,
      lifetimeMs: now - manager.createdAt,
      disposalMs: now - manager.closingAt,
    });
  }

  abandoned(manager: WebSocketManager, label: string, pending: Promise<unknown>): void {
    const { connectionId, threadId, isolationKey } = manager.context;
    const creationSite = creationSiteOf(manager);
    const subject = { connectionId, threadId, isolationKey };
    const step = { ...subject, label, abandonedAt: this.clock.now(), creationSite };
    this.registry.abandoned.add(step, pending);
  }

  disposalFault(
    { context }: WebSocketManager,
    outcome: 'failed' | 'abandoned',
    error?: unknown,
  ): void {
    this.journal.record('disposal-fault', { subject: subjectOf(context), outcome, error });
  }

  codecFailed({ context }: WebSocketManager, error: unknown): void {
    this.journal.record('hook-failed', { subject: subjectOf(context), hook: 'codec', error });
  }

  recordCritical(manager: WebSocketManager, frame: string): DeliveryResult | undefined {
    return this.#criticalRecorder.part?.(manager, frame);
  }

  undelivered({ context }: WebSocketManager, { length }: readonly CriticalMessage[]): void {
    const subject = subjectOf(context);
    this.journal.record('critical-undelivered', { subject, messages: length });
  }

  #askEnded({ target, ...details }: EndedAsk): void {
    if (!this.journal.isHeard('ask-ended')) return;
    const { userId, threadId, connectionId } = target;
    this.journal.record('ask-ended', { userId, threadId, connectionId, ...details });
  }
}
