import type { Clock, Release } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import { createEpoch, parsePosition, type Position } from '../history/position.js';
import type { ClusterAnswers } from '../history/cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import {
  type HistoryBounds,
  type HistoryListener,
  type RecordedEvent,
  type Stretch,
  type ThreadEvent,
  type ThreadHistory,
  type ThreadKey,
} from '../history/thread-history.js';
import { AppendQueue } from './append-queue.js';
import type { RedisConnection, RedisConnections } from './connections.js';
import { readPlace, readStretch } from './history-replies.js';
import { KnownPlaces } from './known-places.js';
import { READ, TOUCH } from './history-scripts.js';
import type { Keys } from './keys.js';
import { DOUBT, EVENT, type EventBody } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type OpenThread, OpenThreads, type OpenThreadsOwner } from './open-threads.js';
import { type Published } from './published.js';
import { REPORT_MS } from './redis-delivery.js';
import { answerWithin } from './redis-deadline.js';
import { concernsOneKey } from './redis-failure.js';
import { type AppendServices, ThreadAppends } from './thread-appends.js';
import { type ThreadKeys, threadKeysOf } from './thread-keys.js';
import type { Unreadable } from './unreadable.js';

/** What the history needs from its node. */
export interface HistoryServices {
  readonly clock: Clock;
  readonly connections: RedisConnections;
  readonly keys: Keys;
  readonly bus: NodeBus;
  readonly nodeId: string;
  readonly commandTimeoutMs: number;
  readonly unreadable: Unreadable;
  /** A command to Redis failed; it is retried. */
  stumbled(error: unknown): void;
  /** An event was given up: clients that resume its thread get a gap. */
  lost(thread: ThreadKey, error: unknown): void;
}

/**
 * The threads of a cluster in Redis, one stream for each. Redis assigns each event its position, and publishes the
 * events in that order to every node that holds the user. A node reads the events that it did not receive.
 */
export class RedisHistory implements ThreadHistory {
  readonly #open: OpenThreads;
  readonly #known: KnownPlaces;
  readonly #queue: AppendQueue;
  readonly #appends: ThreadAppends;
  readonly #bounds: string[];
  #listener: HistoryListener | undefined;

  constructor(
    private readonly services: HistoryServices,
    private readonly bounds: HistoryBounds,
  ) {
    const { windowMs, maxEvents, maxBytes } = bounds;
    this.#bounds = [windowMs, maxEvents, maxBytes].map(String);
    this.#open = new OpenThreads(this.#openThreadsOwner());
    this.#known = new KnownPlaces(services.clock, windowMs, this.#open);
    this.#appends = new ThreadAppends(this.#appendServices(), this.#bounds, this.#known);
    this.#queue = new AppendQueue(services.clock, concernsOneKey, (error) =>
      services.stumbled(error),
    );
    services.bus.use(EVENT, (body) => this.#heard(body));
    services.bus.use(DOUBT, ({ thread }) => this.#listener?.doubtful(thread));
  }

  /** The number of events that Redis has not confirmed yet. */
  get waiting(): number {
    return this.#queue.size;
  }

  useListener(listener: HistoryListener): void {
    this.#listener = listener;
  }

  open(thread: ThreadKey): Release {
    return this.#open.open(thread, this.#keysOf(thread));
  }

  append(thread: ThreadKey, event: ThreadEvent): 'on-its-way' {
    const envelope = this.services.bus.envelope(EVENT, bodyOf(thread, event));
    this.#queue.add(this.#appends.event(thread, this.#keysOf(thread), event, envelope));
    return 'on-its-way';
  }

  async appendAndReport(
    thread: ThreadKey,
    event: ThreadEvent,
  ): Promise<ClusterAnswers<DeliveryReport>> {
    const publish = (envelope: string): Promise<Published> =>
      new Promise((resolve) => {
        this.#queue.add(
          this.#appends.event(thread, this.#keysOf(thread), event, envelope, resolve),
        );
      });
    const body = bodyOf(thread, event);
    return this.services.bus.collect(EVENT, body, publish, REPORT_MS);
  }

  read(thread: ThreadKey, after: Position | undefined): Promise<Stretch> {
    return after
      ? this.#read(thread, 'after', after.epoch, String(after.offset))
      : this.#read(thread, 'head');
  }

  readCritical(thread: ThreadKey): Promise<Stretch> {
    return this.#read(thread, 'critical');
  }

  /**
   * Messages to this node may have been lost: compares the open threads with Redis, so that missing events are read.
   */
  doubtAll(): void {
    void this.#open.lookAtAll(true);
  }

  /** Redis is reachable again. */
  hurry(): void {
    this.#queue.hurry();
  }

  dispose(): void {
    this.#open.dispose();
    this.#known.clear();
  }

  /** The process leaves the cluster: waits until the queued events are sent, but not longer than the deadline. */
  async leave(): Promise<void> {
    this.dispose();
    const { clock, commandTimeoutMs } = this.services;
    await withDeadline(clock, commandTimeoutMs, this.#queue.empty());
    this.#queue.close();
  }

  get #connection(): RedisConnection {
    return this.services.connections.get('streams');
  }

  #appendServices(): AppendServices {
    const { keys, bus, nodeId, connections } = this.services;
    return {
      keys,
      bus,
      nodeId,
      connection: () => this.#connection,
      seesAllReceivers: () => connections.seesAllReceivers,
      lost: (thread, error) => this.services.lost(thread, error),
    };
  }

  #openThreadsOwner(): OpenThreadsOwner {
    const { clock, commandTimeoutMs } = this.services;
    const touch = (open: OpenThread): Promise<Position | undefined> => this.#touch(open);
    return {
      clock,
      commandTimeoutMs,
      windowMs: this.bounds.windowMs,
      touch,
      look: (open) => this.#mended(open.thread, open.keys, () => touch(open)),
      doubtful: (thread) => this.#listener?.doubtful(thread),
      stumbled: (error) => this.services.stumbled(error),
    };
  }

  #heard({ thread, frame, isCritical, onlyFor, position }: EventBody): DeliveryReport | undefined {
    const at = parsePosition(position);
    if (!at) return undefined;
    const { hash } = this.#keysOf(thread);
    this.#known.saw(hash, at);
    const open = this.#open.get(hash);
    if (open) open.heard = at;
    const event: RecordedEvent = { body: frame, isCritical, onlyFor, offset: at.offset };
    return this.#listener?.recorded(thread, at.epoch, event);
  }

  async #read(thread: ThreadKey, ...wanted: string[]): Promise<Stretch> {
    const keys = this.#keysOf(thread);
    const ask = async (): Promise<Stretch> => {
      const epoch = createEpoch(thread.userId);
      const args = [epoch, ...this.#bounds, ...this.#known.of(keys.hash), ...wanted];
      const names = [keys.hash, keys.stream];
      const stretch = readStretch(await READ.run(this.#connection, names, args));
      const head = { epoch: stretch.epoch, offset: stretch.head };
      this.#known.saw(keys.hash, head);
      // The baseline: every later event has to arrive over the bus. Taken at the first look, seconds later, it would
      // hide events that were missed in between.
      const open = this.#open.get(keys.hash);
      if (open) open.heard ??= head;
      return stretch;
    };
    const asked = this.#mended(thread, keys, ask);
    return answerWithin(this.services.clock, this.services.commandTimeoutMs, asked);
  }

  // Data that another program has written under the key of a thread stays in the way until the thread begins anew, so
  // the thread is reset before the retry.
  async #mended<T>(thread: ThreadKey, keys: ThreadKeys, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!concernsOneKey(error)) throw error;
      this.services.unreadable.note('the history of a thread');
      await this.#appends.beginAnew(thread, keys);
      return ask();
    }
  }

  async #touch({ keys, thread }: OpenThread): Promise<Position | undefined> {
    const epoch = createEpoch(thread.userId);
    const args = [this.#bounds[0]!, epoch, ...this.#known.of(keys.hash)];
    const place = readPlace(await TOUCH.run(this.#connection, [keys.hash], args));
    if (place) this.#known.saw(keys.hash, place);
    return place;
  }

  #keysOf(thread: ThreadKey): ThreadKeys {
    return threadKeysOf(this.services.keys, thread);
  }
}

function bodyOf(thread: ThreadKey, { body, isCritical, onlyFor }: ThreadEvent): EventBody {
  const { userId, threadId } = thread;
  return { thread: { userId, threadId }, frame: body, isCritical, onlyFor, position: '' };
}
