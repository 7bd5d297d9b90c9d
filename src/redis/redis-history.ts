import type { Clock, Release } from '../clock/clock.js';
import { withDeadline } from '../clock/deadline.js';
import { createEpoch, parsePosition, type Position } from '../history/position.js';
import type { ClusterAnswers, DeliveryReport } from '../history/receipt.js';
import {
  EVENT_OVERHEAD_BYTES,
  type HistoryBounds,
  type HistoryListener,
  type RecordedEvent,
  type Stretch,
  type ThreadEvent,
  type ThreadHistory,
  type ThreadKey,
} from '../history/thread-history.js';
import { type Appendable, AppendQueue } from './append-queue.js';
import type { Connection, RedisConnections } from './connections.js';
import { readPlace, readStretch } from './history-replies.js';
import { KnownPlaces } from './known-places.js';
import { APPEND, READ, RESET, TOUCH } from './history-scripts.js';
import type { Keys } from './keys.js';
import { DOUBT, EVENT, type EventBody } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type Published, readPublished } from './published.js';
import { REPORT_MS } from './redis-delivery.js';
import { answerWithin } from './redis-deadline.js';
import { concernsOneKey } from './redis-failure.js';
import type { Unreadable } from './unreadable.js';

/** Threads that are touched at once. */
const BATCH = 250;
const LONGEST_TOUCH_MS = 5_000;

/** What Redis calls the parts of a thread. */
interface ThreadKeys {
  readonly leases: string;
  readonly hash: string;
  readonly stream: string;
}

/** A thread that somebody has open on this node. */
interface OpenThread {
  readonly thread: ThreadKey;
  readonly keys: ThreadKeys;
  openers: number;
  /** The latest event that came over the bus. */
  heard: Position | undefined;
  /** Where the thread was the last time it was looked at. */
  seen: Position | undefined;
}

/** What the history needs of its node. */
export interface HistoryHost {
  readonly clock: Clock;
  readonly connections: RedisConnections;
  readonly keys: Keys;
  readonly bus: NodeBus;
  readonly nodeId: string;
  readonly commandTimeoutMs: number;
  readonly unreadable: Unreadable;
  /** Redis did not do what it was asked; it is asked again. */
  stumbled(error: unknown): void;
  /** An event was given up: those who resume in its thread will find a gap. */
  lost(thread: ThreadKey, error: unknown): void;
}

/**
 * The threads of a cluster, in Redis: a stream for each. An event gets its place there, and comes back to
 * every node that holds the user in that order; what a node did not hear it reads.
 */
export class RedisHistory implements ThreadHistory {
  readonly #open = new Map<string, OpenThread>();
  readonly #known: KnownPlaces;
  readonly #queue: AppendQueue;
  readonly #bounds: string[];
  #listener: HistoryListener | undefined;
  #toucher: Release | undefined;

  constructor(
    private readonly host: HistoryHost,
    private readonly bounds: HistoryBounds,
  ) {
    const { windowMs, maxEvents, maxBytes } = bounds;
    this.#bounds = [windowMs, maxEvents, maxBytes].map(String);
    this.#known = new KnownPlaces(host.clock, windowMs, this.#open);
    this.#queue = new AppendQueue(host.clock, concernsOneKey, (error) => host.stumbled(error));
    host.bus.handle(EVENT, (body) => this.#heard(body));
    host.bus.handle(DOUBT, ({ thread }) => this.#listener?.doubtful(thread));
  }

  /** Events that Redis does not have yet. */
  get waiting(): number {
    return this.#queue.size;
  }

  listen(listener: HistoryListener): void {
    this.#listener = listener;
  }

  open(thread: ThreadKey): Release {
    const keys = this.#keysOf(thread);
    let open = this.#open.get(keys.hash);
    if (!open) {
      open = { thread, keys, openers: 0, heard: undefined, seen: undefined };
      this.#open.set(keys.hash, open);
      const periodMs = Math.min(LONGEST_TOUCH_MS, Math.ceil(this.bounds.windowMs / 4));
      this.#toucher ??= this.host.clock.every(periodMs, () => void this.#lookAtAll(false));
    }
    open.openers += 1;
    return once(() => this.#leave(open));
  }

  append(thread: ThreadKey, event: ThreadEvent): 'on-its-way' {
    const envelope = this.host.bus.envelope(EVENT, bodyOf(thread, event));
    this.#queue.add(this.#appendable(thread, event, envelope));
    return 'on-its-way';
  }

  async appendAndReport(
    thread: ThreadKey,
    event: ThreadEvent,
  ): Promise<ClusterAnswers<DeliveryReport>> {
    const publish = (envelope: string): Promise<Published> =>
      new Promise((resolve) => {
        this.#queue.add(this.#appendable(thread, event, envelope, resolve));
      });
    const body = bodyOf(thread, event);
    return this.host.bus.collect(EVENT, body, publish, REPORT_MS);
  }

  read(thread: ThreadKey, after: Position | undefined): Promise<Stretch> {
    return after
      ? this.#read(thread, 'after', after.epoch, String(after.offset))
      : this.#read(thread, 'head');
  }

  readCritical(thread: ThreadKey): Promise<Stretch> {
    return this.#read(thread, 'critical');
  }

  /** Messages may have been lost on the way here: whoever lacks one reads on. */
  doubtAll(): void {
    void this.#lookAtAll(true);
  }

  /** Redis can be reached again. */
  hurry(): void {
    this.#queue.hurry();
  }

  dispose(): void {
    this.#toucher?.();
    this.#toucher = undefined;
    this.#open.clear();
    this.#known.clear();
  }

  /** The process leaves the cluster: lets what waits get out, for a while. */
  async leave(): Promise<void> {
    this.dispose();
    const { clock, commandTimeoutMs } = this.host;
    await withDeadline(clock, commandTimeoutMs, this.#queue.empty());
    this.#queue.close();
  }

  get #connection(): Connection {
    return this.host.connections.get('streams');
  }

  #leave(open: OpenThread): void {
    open.openers -= 1;
    if (open.openers > 0) return;
    this.#open.delete(open.keys.hash);
    // The window begins now. Where this fails, it began when the thread was last touched.
    void this.#touch(open).catch((error: unknown) => this.host.stumbled(error));
    if (this.#open.size > 0) return;
    this.#toucher?.();
    this.#toucher = undefined;
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

  #appendable(
    thread: ThreadKey,
    event: ThreadEvent,
    envelope: string,
    published?: (to: Published) => void,
  ): Appendable {
    const keys = this.#keysOf(thread);
    const end = envelope.lastIndexOf('"}}');
    const before = envelope.slice(0, end);
    const after = envelope.slice(end);
    const { body, isCritical, onlyFor = '' } = event;
    return {
      thread: keys.hash,
      bytes: envelope.length + EVENT_OVERHEAD_BYTES,
      send: async (number, previous) => {
        const { host } = this;
        const epoch = createEpoch(thread.userId);
        const kind = isCritical ? 'c' : '';
        const event = [host.keys.channelOf(''), before, after, body, kind, onlyFor, epoch];
        const order = [host.nodeId, String(number), String(previous)];
        const args = [...event, ...this.#bounds, ...order, ...this.#known.of(keys.hash)];
        const reply = await APPEND.run(this.#connection, namesOf(keys), args);
        const [outcome, ...done] = reply as [string, ...string[]];
        if (outcome === 'early') return 'early';
        const to = done.splice(2);
        if (outcome === 'done') this.#known.saw(keys.hash, readPlace(done)!);
        published?.(readPublished(to, host.connections.seesAllReceivers));
        return 'done';
      },
      giveUp: (error) => {
        this.host.lost(thread, error);
        published?.({ heard: [], unheard: [] });
        return this.#reset(thread, keys);
      },
    };
  }

  #reset(thread: ThreadKey, keys: ThreadKeys): Appendable {
    return {
      thread: keys.hash,
      bytes: 0,
      send: async () => {
        await this.#beginAnew(thread, keys);
        return 'done';
      },
      giveUp: () => undefined,
    };
  }

  async #beginAnew(thread: ThreadKey, keys: ThreadKeys): Promise<void> {
    const { host } = this;
    const envelope = host.bus.envelope(DOUBT, { thread });
    const epoch = createEpoch(thread.userId);
    const args = [host.keys.channelOf(''), envelope, epoch, this.#bounds[0]!, host.nodeId];
    await RESET.run(this.#connection, namesOf(keys), args);
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
      // Every event after this one has to be heard. Taken at the first look, seconds later, the baseline would pass over
      // the events that came in between and were not heard.
      const open = this.#open.get(keys.hash);
      if (open) open.heard ??= head;
      return stretch;
    };
    const asked = this.#mended(thread, keys, ask);
    return answerWithin(this.host.clock, this.host.commandTimeoutMs, asked);
  }

  // What something else has written in place of a thread is not a thread that was lost on the way: it
  // stays in the way until the thread begins anew.
  async #mended<T>(thread: ThreadKey, keys: ThreadKeys, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!concernsOneKey(error)) throw error;
      this.host.unreadable.note('the history of a thread');
      await this.#beginAnew(thread, keys);
      return ask();
    }
  }

  async #lookAtAll(isDoubtful: boolean): Promise<void> {
    const open = [...this.#open.values()];
    try {
      for (let start = 0; start < open.length; start += BATCH) {
        const touched = open
          .slice(start, start + BATCH)
          .map((each) => this.#look(each, isDoubtful));
        const all = Promise.all(touched);
        await answerWithin(this.host.clock, this.host.commandTimeoutMs, all);
      }
    } catch (error) {
      this.host.stumbled(error);
    }
  }

  // Twice in a row without having heard of it: it did not get here. Once may be a matter of moments.
  async #look(open: OpenThread, isDoubtful: boolean): Promise<void> {
    const now = await this.#mended(open.thread, open.keys, () => this.#touch(open));
    const { seen, heard, thread } = open;
    const due = isDoubtful ? now : seen;
    // Redis knows nothing of it any more: whoever has it open should hear of the gap before the next event.
    const isLost = now === undefined && heard !== undefined && heard.offset > 0;
    if (isLost || (due && !isAtLeast(heard, due))) {
      open.heard = now;
      this.#listener?.doubtful(thread);
    }
    open.seen = now;
    open.heard ??= now;
  }

  async #touch({ keys, thread }: OpenThread): Promise<Position | undefined> {
    const epoch = createEpoch(thread.userId);
    const args = [this.#bounds[0]!, epoch, ...this.#known.of(keys.hash)];
    const place = readPlace(await TOUCH.run(this.#connection, [keys.hash], args));
    if (place) this.#known.saw(keys.hash, place);
    return place;
  }

  #keysOf({ userId, threadId }: ThreadKey): ThreadKeys {
    const { keys } = this.host;
    const user = keys.hashOf(userId);
    const thread = keys.hashOf(threadId);
    return {
      leases: keys.ofUser(user).leases,
      hash: keys.named(user, `thread:${thread}`),
      stream: keys.named(user, `events:${thread}`),
    };
  }
}

function bodyOf(thread: ThreadKey, { body, isCritical, onlyFor }: ThreadEvent): EventBody {
  const { userId, threadId } = thread;
  return { thread: { userId, threadId }, frame: body, isCritical, onlyFor, position: '' };
}

function namesOf({ leases, hash, stream }: ThreadKeys): string[] {
  return [leases, hash, stream];
}

function isAtLeast(heard: Position | undefined, seen: Position): boolean {
  return heard !== undefined && heard.epoch === seen.epoch && heard.offset >= seen.offset;
}

function once(act: () => void): Release {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    act();
  };
}
