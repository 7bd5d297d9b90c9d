import { createEpoch } from '../history/position.js';
import {
  EVENT_OVERHEAD_BYTES,
  type ThreadEvent,
  type ThreadKey,
} from '../history/thread-history.js';
import type { Appendable } from './append-queue.js';
import type { RedisConnection } from './connections.js';
import { readPlace } from './history-replies.js';
import { APPEND, RESET } from './history-scripts.js';
import type { Keys } from './keys.js';
import type { KnownPlaces } from './known-places.js';
import { DOUBT } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type Published, readPublished } from './published.js';
import { namesOf, type ThreadKeys } from './thread-keys.js';

/** What appending needs from its node. */
export interface AppendServices {
  readonly connection: () => RedisConnection;
  readonly keys: Keys;
  readonly bus: NodeBus;
  readonly nodeId: string;
  readonly seesAllReceivers: () => boolean;
  /** An event was given up: clients that resume its thread get a gap. */
  lost(thread: ThreadKey, error: unknown): void;
}

/** Makes the items that are appended to threads: events, and resets of threads whose events were lost. */
export class ThreadAppends {
  constructor(
    private readonly services: AppendServices,
    /** The bounds of a thread, as its scripts take them: window, events, bytes. */
    private readonly bounds: readonly string[],
    private readonly known: KnownPlaces,
  ) {}

  /**
   * Makes the item for an event.
   *
   * @param envelope the message to publish; Redis fills in `body.position`
   * @param published called with the nodes that the message was published to
   */
  event(
    thread: ThreadKey,
    keys: ThreadKeys,
    event: ThreadEvent,
    envelope: string,
    published?: (to: Published) => void,
  ): Appendable {
    const end = envelope.lastIndexOf('"}}');
    const before = envelope.slice(0, end);
    const after = envelope.slice(end);
    const { body, isCritical, onlyFor = '' } = event;
    return {
      thread: keys.hash,
      bytes: envelope.length + EVENT_OVERHEAD_BYTES,
      send: async (number, previous) => {
        const { services } = this;
        const epoch = createEpoch(thread.userId);
        const kind = isCritical ? 'c' : '';
        const event = [services.keys.channelOf(''), before, after, body, kind, onlyFor, epoch];
        const order = [services.nodeId, String(number), String(previous)];
        const args = [...event, ...this.bounds, ...order, ...this.known.of(keys.hash)];
        const reply = await APPEND.run(services.connection(), namesOf(keys), args);
        const [outcome, ...done] = reply as [string, ...string[]];
        if (outcome === 'early') return 'early';
        const to = done.splice(2);
        if (outcome === 'done') this.known.saw(keys.hash, readPlace(done)!);
        published?.(readPublished(to, services.seesAllReceivers()));
        return 'done';
      },
      giveUp: (error) => {
        this.services.lost(thread, error);
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
        await this.beginAnew(thread, keys);
        return 'done';
      },
      giveUp: () => undefined,
    };
  }

  /** Begins a thread anew, and notifies every node that holds its user. */
  async beginAnew(thread: ThreadKey, keys: ThreadKeys): Promise<void> {
    const { services } = this;
    const envelope = services.bus.envelope(DOUBT, { thread });
    const epoch = createEpoch(thread.userId);
    const channel = services.keys.channelOf('');
    const args = [channel, envelope, epoch, this.bounds[0]!, services.nodeId];
    await RESET.run(services.connection(), namesOf(keys), args);
  }
}
