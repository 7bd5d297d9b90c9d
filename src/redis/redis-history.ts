import type { Clock, Release } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import { epochFor, type HistoryKey, isShared, plainKey } from '../history/history-key.js';
import { parsePosition, type Position } from '../history/position.js';
import type { PositionSeal } from '../history/position-seal.js';
import type { ClusterAnswers } from '../history/cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import {
  type HistoryBounds,
  type HistoryListener,
  type RecordedEvent,
  type Stretch,
  type HistoryEvent,
  type EventHistory,
} from '../history/event-history.js';
import { AppendQueue } from './append-queue.js';
import type { RedisConnection, RedisConnections } from './connections.js';
import { readPlace, readStretch } from './history-replies.js';
import { KnownPlaces } from './known-places.js';
import { READ, TOUCH } from './history-scripts.js';
import type { Keys } from './keys.js';
import type { EventBody, HistoryMessages } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type OpenHistory, OpenHistories, type OpenHistoriesOwner } from './open-histories.js';
import { type Published } from './published.js';
import { REPORT_MS } from './redis-delivery.js';
import { answerWithin } from './redis-deadline.js';
import { concernsOneKey } from './redis-failure.js';
import { type AppendServices, HistoryAppends } from './history-appends.js';
import { type HistoryKeys, historyKeysOf } from './history-keys.js';
import type { Unreadable } from './unreadable.js';

/** What the history needs from its node. */
export interface HistoryServices<Key extends HistoryKey> {
  readonly messages: HistoryMessages<Key>;
  readonly clock: Clock;
  readonly connections: RedisConnections;
  readonly keys: Keys;
  readonly bus: NodeBus;
  readonly nodeId: string;
  readonly commandTimeoutMs: number;
  readonly unreadable: Unreadable;
  readonly seal: PositionSeal;
  /** A command to Redis failed; it is retried. */
  stumbled(error: unknown): void;
  /** An event was given up: clients that resume it get a gap. */
  lost(key: Key, error: unknown): void;
}

/**
 * The histories of a cluster in Redis, one stream for each. Redis assigns each event its position, and publishes the
 * events in that order to every node that holds the user, or members of the topic. A node reads the events that it did not receive.
 */
export class RedisHistory<Key extends HistoryKey> implements EventHistory<Key> {
  readonly #open: OpenHistories<Key>;
  readonly #known: KnownPlaces;
  readonly #queue: AppendQueue;
  readonly #appends: HistoryAppends<Key>;
  readonly #bounds: string[];
  #listener: HistoryListener<Key> | undefined;

  constructor(
    private readonly services: HistoryServices<Key>,
    private readonly bounds: HistoryBounds,
    /** Bytes of all histories that this node has appended to. Default: each history has its own bound only. */
    maxTotalBytes?: number,
  ) {
    const { windowMs, maxEvents, maxBytes } = bounds;
    this.#bounds = [windowMs, maxEvents, maxBytes].map(String);
    this.#open = new OpenHistories(this.#openHistoriesOwner());
    this.#known = new KnownPlaces(services.clock, windowMs, this.#open);
    const appendServices = this.#appendServices();
    this.#appends = new HistoryAppends(appendServices, this.#bounds, this.#known, maxTotalBytes);
    this.#queue = new AppendQueue(services.clock, concernsOneKey, (error) =>
      services.stumbled(error),
    );
    services.bus.use(services.messages.event, (body) => this.#heard(body));
    services.bus.use(services.messages.doubt, ({ key }) => this.#listener?.doubtful(key));
  }

  get seal(): PositionSeal {
    return this.services.seal;
  }

  /** The number of events that Redis has not confirmed yet. */
  get waiting(): number {
    return this.#queue.size;
  }

  useListener(listener: HistoryListener<Key>): void {
    this.#listener = listener;
  }

  open(key: Key): Release {
    return this.#open.open(key, this.#keysOf(key));
  }

  append(key: Key, event: HistoryEvent): 'on-its-way' {
    const envelope = this.services.bus.envelope(this.services.messages.event, bodyOf(key, event));
    this.#queue.add(this.#appends.event(key, this.#keysOf(key), event, envelope));
    return 'on-its-way';
  }

  async appendAndReport(key: Key, event: HistoryEvent): Promise<ClusterAnswers<DeliveryReport>> {
    const publish = (envelope: string): Promise<Published> =>
      new Promise((resolve) => {
        this.#queue.add(this.#appends.event(key, this.#keysOf(key), event, envelope, resolve));
      });
    const body = bodyOf(key, event);
    return this.services.bus.collect(this.services.messages.event, body, publish, REPORT_MS);
  }

  read(key: Key, after: Position | undefined): Promise<Stretch> {
    return after
      ? this.#read(key, 'after', after.epoch, String(after.offset), isShared(key) ? '' : '1')
      : this.#read(key, 'head');
  }

  readCritical(key: Key): Promise<Stretch> {
    return this.#read(key, 'critical');
  }

  /**
   * Messages to this node may have been lost: compares the open histories with Redis, so that missing events are read.
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
    this.#appends.dispose();
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

  #appendServices(): AppendServices<Key> {
    const { messages, clock, keys, bus, nodeId, connections, seal } = this.services;
    return {
      messages,
      clock,
      keys,
      bus,
      nodeId,
      seal,
      connection: () => this.#connection,
      seesAllReceivers: () => connections.seesAllReceivers,
      lost: (key, error) => this.services.lost(key, error),
      stumbled: (error) => this.services.stumbled(error),
    };
  }

  #openHistoriesOwner(): OpenHistoriesOwner<Key> {
    const { clock, commandTimeoutMs } = this.services;
    const touch = (open: OpenHistory<Key>): Promise<Position | undefined> => this.#touch(open);
    return {
      clock,
      commandTimeoutMs,
      windowMs: this.bounds.windowMs,
      touch,
      look: (open) => this.#mended(open.key, open.keys, () => touch(open)),
      doubtful: (key) => this.#listener?.doubtful(key),
      stumbled: (error) => this.services.stumbled(error),
    };
  }

  #heard(body: EventBody<Key>): DeliveryReport | undefined {
    const { key, frame, isCritical, onlyFor, except } = body;
    const at = parsePosition(body.position);
    if (!at) return undefined;
    const { hash } = this.#keysOf(key);
    this.#known.saw(hash, at);
    const open = this.#open.get(hash);
    if (open) open.heard = at;
    const event: RecordedEvent = {
      body: frame,
      isCritical,
      onlyFor,
      except,
      offset: at.offset,
    };
    return this.#listener?.recorded(key, at.epoch, event);
  }

  async #read(key: Key, ...wanted: string[]): Promise<Stretch> {
    const keys = this.#keysOf(key);
    const ask = async (): Promise<Stretch> => {
      const epoch = epochFor(key, this.seal);
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
    const asked = this.#mended(key, keys, ask);
    return answerWithin(this.services.clock, this.services.commandTimeoutMs, asked);
  }

  // Data that another program has written under the key of a history stays in the way until the history begins anew,
  // so it is reset before the retry.
  async #mended<T>(key: Key, keys: HistoryKeys, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!concernsOneKey(error)) throw error;
      this.services.unreadable.note('a history');
      await this.#appends.beginAnew(key, keys);
      return ask();
    }
  }

  async #touch({ keys, key }: OpenHistory<Key>): Promise<Position | undefined> {
    const epoch = epochFor(key, this.seal);
    const args = [this.#bounds[0]!, epoch, ...this.#known.of(keys.hash)];
    const place = readPlace(await TOUCH.run(this.#connection, [keys.hash], args));
    if (place) this.#known.saw(keys.hash, place);
    return place;
  }

  #keysOf(key: Key): HistoryKeys {
    return historyKeysOf(this.services.keys, key);
  }
}

function bodyOf<Key extends HistoryKey>(key: Key, event: HistoryEvent): EventBody<Key> {
  const { body, isCritical, onlyFor, except } = event;
  return { key: plainKey(key), frame: body, isCritical, onlyFor, except, position: '' };
}
