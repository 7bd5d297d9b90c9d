import type { Clock, Release } from '../time/clock.js';
import { encodeFrame } from '../wire/frame-encoding.js';

/** What has changed in a topic since the last event. */
interface Changes {
  /** `true`: has joined; `false`: has left. */
  readonly users: Map<string, boolean>;
  count: number | undefined;
}

/** The options of presence events. */
export interface PresenceSettings {
  readonly presenceIntervalMs: number;
  readonly presenceMaxMembers: number;
}

/** Collects who joins and leaves, and sends one `presence` event per topic and interval. */
export class PresenceEvents {
  readonly #changes = new Map<string, Changes>();
  readonly #timers = new Map<string, Release>();

  constructor(
    private readonly clock: Clock,
    private readonly settings: PresenceSettings,
    /** Users in a topic on this node, where no cluster counts them. */
    private readonly countHere: (topic: string) => number,
    /** Sends a frame to the members on this node. */
    private readonly send: (topic: string, body: string) => void,
  ) {}

  /** @param count users in the topic on all nodes; not given without a cluster */
  add(topic: string, joined: readonly string[], left: readonly string[], count?: number): void {
    let changes = this.#changes.get(topic);
    if (!changes) this.#changes.set(topic, (changes = { users: new Map(), count }));
    changes.count = count;
    for (const userId of joined) note(changes, userId, true);
    for (const userId of left) note(changes, userId, false);
    if (this.#timers.has(topic)) return;
    const { presenceIntervalMs } = this.settings;
    this.#timers.set(
      topic,
      this.clock.after(presenceIntervalMs, () => this.#flush(topic)),
    );
  }

  /** The topic has no members on this node any more. */
  forget(topic: string): void {
    this.#timers.get(topic)?.();
    this.#timers.delete(topic);
    this.#changes.delete(topic);
  }

  dispose(): void {
    // Deleting the entry that an iteration is at does not disturb the iteration.
    for (const topic of this.#timers.keys()) this.forget(topic);
  }

  #flush(topic: string): void {
    const changes = this.#changes.get(topic);
    this.forget(topic);
    if (!changes) return;
    const count = changes.count ?? this.countHere(topic);
    const isNamed = count <= this.settings.presenceMaxMembers;
    const users = isNamed ? [...changes.users] : [];
    const joined = users.filter(([, isIn]) => isIn).map(([userId]) => userId);
    const left = users.filter(([, isIn]) => !isIn).map(([userId]) => userId);
    if (isNamed && users.length === 0) return;
    this.send(topic, encodeFrame('presence', { joined, left, count })!);
  }
}

// A user that leaves and comes back within one interval has not left.
function note({ users }: Changes, userId: string, isIn: boolean): void {
  if (users.get(userId) === !isIn) users.delete(userId);
  else users.set(userId, isIn);
}
