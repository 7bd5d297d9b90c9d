import { EVENT_OVERHEAD_BYTES, type HistoryEvent } from '../history/event-history.js';
import { epochFor, type HistoryKey, plainKey } from '../history/history-key.js';
import type { PositionSeal } from '../history/position-seal.js';
import type { Clock } from '../time/clock.js';
import type { Appendable } from './append-queue.js';
import type { RedisConnection } from './connections.js';
import { HistoryBudget } from './history-budget.js';
import { readPlace } from './history-replies.js';
import { APPEND, EMPTY, RESET } from './history-scripts.js';
import type { Keys } from './keys.js';
import type { KnownPlaces } from './known-places.js';
import type { HistoryMessages } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type Published, readPublished } from './published.js';
import { receiversText } from './receivers.js';
import { namesOf, type HistoryKeys } from './history-keys.js';

/** What appending needs from its node. */
export interface AppendServices<Key extends HistoryKey> {
  readonly messages: HistoryMessages<Key>;
  readonly clock: Clock;
  readonly connection: () => RedisConnection;
  readonly keys: Keys;
  readonly bus: NodeBus;
  readonly nodeId: string;
  readonly seal: PositionSeal;
  readonly seesAllReceivers: () => boolean;
  /** An event was given up: clients that resume it get a gap. */
  lost(key: Key, error: unknown): void;
  /** A command to Redis failed. */
  stumbled(error: unknown): void;
}

/** Makes the items that are appended to histories: events, and resets where events were lost. */
export class HistoryAppends<Key extends HistoryKey> {
  readonly #budget: HistoryBudget | undefined;

  constructor(
    private readonly services: AppendServices<Key>,
    /** The bounds of a history, as the scripts take them: window, events, bytes. */
    private readonly bounds: readonly string[],
    private readonly known: KnownPlaces,
    /** Bytes of all histories together. Default: each history has its own bound only. */
    maxTotalBytes: number | undefined,
  ) {
    if (maxTotalBytes === undefined) return;
    const windowMs = Number(bounds[0]);
    this.#budget = new HistoryBudget(services.clock, windowMs, maxTotalBytes, (keys) =>
      this.#empty(keys),
    );
  }

  dispose(): void {
    this.#budget?.dispose();
  }

  /**
   * Makes the item for an event.
   *
   * @param envelope the message to publish; Redis fills in `body.position`
   * @param published called with the nodes that the message was published to
   */
  event(
    key: Key,
    keys: HistoryKeys,
    event: HistoryEvent,
    envelope: string,
    published?: (to: Published) => void,
  ): Appendable {
    const end = envelope.lastIndexOf('"}}');
    const before = envelope.slice(0, end);
    const after = envelope.slice(end);
    const { body, isCritical } = event;
    const receivers = receiversText(event);
    return {
      history: keys.hash,
      bytes: envelope.length + EVENT_OVERHEAD_BYTES,
      send: async (number, previous) => {
        const { services } = this;
        const epoch = epochFor(key, services.seal);
        const kind = isCritical ? 'c' : '';
        const event = [services.keys.channelOf(''), before, after, body, kind, receivers, epoch];
        const order = [services.nodeId, String(number), String(previous)];
        const args = [...event, ...this.bounds, ...order, ...this.known.of(keys.hash)];
        const reply = await APPEND.run(services.connection(), namesOf(keys), args);
        const [outcome, ...done] = reply as [string, ...string[]];
        if (outcome === 'early') return 'early';
        const to = done.splice(3);
        if (outcome === 'done') {
          this.known.saw(keys.hash, readPlace(done)!);
          this.#budget?.appended(keys, Number(done[2]));
        }
        published?.(readPublished(to, services.seesAllReceivers()));
        return 'done';
      },
      giveUp: (error) => {
        this.services.lost(key, error);
        published?.({ heard: [], unheard: [] });
        return this.#reset(key, keys);
      },
    };
  }

  #reset(key: Key, keys: HistoryKeys): Appendable {
    return {
      history: keys.hash,
      bytes: 0,
      send: async () => {
        await this.beginAnew(key, keys);
        return 'done';
      },
      giveUp: () => undefined,
    };
  }

  // If it fails, the events stay until they expire.
  #empty({ hash, stream }: HistoryKeys): void {
    const emptied = EMPTY.run(this.services.connection(), [hash, stream], []);
    emptied.catch((error: unknown) => this.services.stumbled(error));
  }

  /** Begins a history anew, and notifies every node that holds it. */
  async beginAnew(key: Key, keys: HistoryKeys): Promise<void> {
    const { services } = this;
    const envelope = services.bus.envelope(services.messages.doubt, { key: plainKey(key) });
    const epoch = epochFor(key, services.seal);
    const channel = services.keys.channelOf('');
    const args = [channel, envelope, epoch, this.bounds[0]!, services.nodeId];
    await RESET.run(services.connection(), namesOf(keys), args);
  }
}
