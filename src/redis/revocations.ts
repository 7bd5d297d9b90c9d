import { randomUUID } from 'node:crypto';

import type { Clock } from '../time/clock.js';
import { CloseCode } from '../wire/close-codes.js';
import type {
  ClusterTarget,
  Goodbye,
  LocalDelivery,
  Revocation,
  Revoked,
} from '../cluster/cluster-delivery.js';
import { parse } from './checks.js';
import type { RedisConnection } from './connections.js';
import type { Keys } from './keys.js';
import { isRevocation, REVOKE, type SentRevocation } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type Published, readPublished } from './published.js';
import { answerWithin } from './redis-deadline.js';
import { concernsOneKey } from './redis-failure.js';
import { ADD, CLEAR, LOOK, REVOCATION_LIFE_MS } from './revocation-scripts.js';
import { type Added, isBefore, type LogEntry, readAdded, readLook } from './revocation-log.js';
import type { Script } from './script.js';
import type { ServerOffset } from './server-offset.js';
import type { Unreadable } from './unreadable.js';

/** Milliseconds between looks of a node at the log of revocations. */
export const LOOK_MS = 3_000;
/**
 * Milliseconds to wait for confirmations of the nodes: longer than a node relies on its last look at the log. A node
 * that has not confirmed by then handles no message before it has looked again.
 */
const CONFIRM_MS = 10_000;
/** Own revocations that a node remembers, in case Redis loses them. */
const MOST_OWN = 10_000;
/** Remembered revocations that arrived as a message and will be read again from the log. */
const MOST_APPLIED = 10_000;
const NEVER_READ = '0-0';

const OUT_OF_TOUCH: Goodbye = {
  code: CloseCode.LEASE_LOST,
  reason: 'the server was out of touch for too long',
};

/** A revocation that this node has made. */
interface Own {
  readonly revocation: SentRevocation;
  /** Monotonic milliseconds. */
  readonly at: number;
  /** The id of its entry in the log; `undefined` while it is not recorded. */
  id: string | undefined;
  /** Whether the command that records it is under way: a look that came between would record it twice. */
  isUnderWay: boolean;
}

/** What revocations need from their node. */
export interface RevocationServices {
  readonly clock: Clock;
  readonly connection: () => RedisConnection;
  readonly keys: Keys;
  readonly bus: NodeBus;
  readonly nodeId: string;
  readonly commandTimeoutMs: number;
  readonly seesAllReceivers: () => boolean;
  readonly unreadable: Unreadable;
  readonly offset: ServerOffset;
  /** Nodes that hold leases of a user, according to Redis. */
  holders(userId: string): Promise<readonly string[]>;
  /** The other nodes at the last heartbeat. */
  known(): readonly string[];
  /** A command to Redis failed. */
  failed(error: unknown): void;
}

/**
 * Closes connections on all nodes, or takes them out of a topic. A revocation is recorded in Redis, and not only sent as
 * a message: a node that did not receive the message (it was frozen or cut off, or the message was lost) reads the
 * revocation before it handles another message. It concerns the connections that were open when it was made.
 */
export class Revocations {
  #local: LocalDelivery | undefined;
  #cursor = '';
  #lookedAt: number;
  #own: Own[] = [];
  readonly #applied = new Set<string>();

  constructor(private readonly host: RevocationServices) {
    this.#lookedAt = host.clock.now();
  }

  useLocalDelivery(local: LocalDelivery): void {
    this.#local = local;
    this.host.bus.use(REVOKE, (revocation) => this.#apply(revocation));
  }

  /** Makes a revocation. Resolves when all nodes have confirmed it, or at the deadline. Never rejects. */
  async revoke(target: ClusterTarget, what: Revocation): Promise<Revoked> {
    const { clock, bus } = this.host;
    const revocation: SentRevocation = { target, ...what, id: randomUUID(), at: 0 };
    const own: Own = { revocation, at: clock.now(), id: undefined, isUnderWay: true };
    this.#own.push(own);
    if (this.#own.length > MOST_OWN) this.#own.shift();
    const publish = (text: string): Promise<Published> => this.#publish(own, text);
    try {
      const { answers, silent } = await bus.collect(REVOKE, revocation, publish, CONFIRM_MS);
      return { answers, silent, isRecorded: own.id !== undefined };
    } catch (error) {
      own.isUnderWay = false;
      this.host.failed(error);
      return { answers: new Map(), silent: this.host.known(), isRecorded: false };
    }
  }

  /** Applies the revocations since the last look, and adds own ones again that Redis has lost. */
  async look(): Promise<void> {
    this.#forgetOld();
    for (let isMore = true; isMore;) isMore = await this.#readOn();
    for (const own of this.#own) {
      if (own.id !== undefined || own.isUnderWay) continue;
      await this.#publish(own, this.host.bus.envelope(REVOKE, own.revocation));
    }
  }

  // Reads one part of the log. Returns whether there is more.
  async #readOn(): Promise<boolean> {
    const { clock, offset } = this.host;
    const askedAt = clock.now();
    const latest = this.#own.findLast(({ id }) => id !== undefined);
    const args = [this.#cursor, String(Math.ceil(askedAt - this.#lookedAt)), latest?.id ?? ''];
    const reply = await this.#run(LOOK, [this.#log], args);
    const { now, isMissed, isOwnLost, last, entries } = readLook(reply);
    offset.heard(now, askedAt);
    if (isMissed) this.#missed();
    if (isOwnLost) for (const own of this.#own) own.id = undefined;
    for (const entry of entries) this.#read(entry);
    const isMore = this.#moveOn(last, entries.at(-1)?.id);
    if (!isMore) this.#lookedAt = askedAt;
    return isMore;
  }

  // Returns whether there are entries behind the new cursor.
  #moveOn(last: string, read: string | undefined): boolean {
    if (read !== undefined) {
      this.#cursor = read;
      return isBefore(read, last);
    }
    // The log has begun anew if its last id is before the cursor.
    const isRegressed = this.#cursor !== '' && isBefore(last, this.#cursor);
    if (isRegressed) this.#cursor = NEVER_READ;
    else if (this.#cursor === '') this.#cursor = last;
    return isRegressed && last !== NEVER_READ;
  }

  #read({ at, by, what }: LogEntry): void {
    if (by === this.host.nodeId) return;
    const revocation = parse(what, isRevocation);
    const madeAt = Number(at);
    if (!revocation || !Number.isSafeInteger(madeAt)) this.host.unreadable.note('a revocation');
    else void this.#apply({ ...revocation, at: madeAt });
  }

  #apply(revocation: SentRevocation): Promise<number> | undefined {
    const { target, id, at } = revocation;
    if (id !== undefined) {
      // A revocation arrives as a message and again in the log. Only the first one is applied, so that newer
      // connections stay.
      if (this.#applied.has(id)) return Promise.resolve(0);
      this.#applied.add(id);
      if (this.#applied.size > MOST_APPLIED) this.#applied.delete(first(this.#applied));
    }
    return this.#local?.revoke(target, revocation, at && this.host.offset.monotonic(at));
  }

  // This node was cut off for longer than revocations are kept, so every connection from before may have been revoked.
  // They are closed; their clients reconnect and are authenticated again.
  #missed(): void {
    void this.#local?.disconnectOlder(this.host.clock.now() - REVOCATION_LIFE_MS, OUT_OF_TOUCH);
  }

  // Publishes to every node that is alive, and to nodes that hold leases of the user but are not registered as alive.
  async #publish(own: Own, envelope: string): Promise<Published> {
    const { host } = this;
    const { revocation } = own;
    const end = envelope.lastIndexOf('0}}');
    const [before, after] = [envelope.slice(0, end), envelope.slice(end + 1)];
    const ageMs = String(Math.max(0, Math.round(host.clock.now() - own.at)));
    const args = [ageMs, JSON.stringify(revocation), host.nodeId, host.keys.channelOf('')];
    const keys = [this.#log, host.keys.nodes];
    const { at, nodes } = await this.#add(own, keys, [...args, before, after]);
    const alive = readPublished(nodes, host.seesAllReceivers());
    const reached = new Set([host.nodeId, ...alive.heard, ...alive.unheard]);
    const holders = await this.#holders(revocation.target);
    const others = holders.filter((nodeId) => !reached.has(nodeId));
    const { heard, unheard } = await host.bus.publish(others, before + at + after);
    return { heard: [...alive.heard, ...heard], unheard: [...alive.unheard, ...unheard] };
  }

  async #add(own: Own, keys: string[], args: string[]): Promise<Added> {
    own.isUnderWay = true;
    try {
      const added = readAdded(await this.#run(ADD, keys, args));
      own.id = added.id;
      return added;
    } finally {
      own.isUnderWay = false;
    }
  }

  async #holders(target: ClusterTarget): Promise<readonly string[]> {
    if (!('userId' in target)) return [];
    try {
      return await this.#within(this.host.holders(target.userId));
    } catch (error) {
      this.host.failed(error);
      return [];
    }
  }

  async #run(script: Script, keys: string[], args: string[]): Promise<unknown> {
    const { connection, unreadable } = this.host;
    try {
      return await this.#within(script.run(connection(), keys, args));
    } catch (error) {
      if (!concernsOneKey(error)) throw error;
      unreadable.note('the log of revocations');
      await this.#within(CLEAR.run(connection(), [this.#log], []));
      return this.#within(script.run(connection(), keys, args));
    }
  }

  #within<T>(answer: Promise<T>): Promise<T> {
    return answerWithin(this.host.clock, this.host.commandTimeoutMs, answer);
  }

  #forgetOld(): void {
    const oldest = this.host.clock.now() - REVOCATION_LIFE_MS;
    if (this.#own[0] && this.#own[0].at < oldest) {
      this.#own = this.#own.filter(({ at }) => at >= oldest);
    }
  }

  get #log(): string {
    return this.host.keys.revocations;
  }
}

function first<T>(set: ReadonlySet<T>): T {
  for (const value of set) return value;
  throw new Error('the set is empty');
}
