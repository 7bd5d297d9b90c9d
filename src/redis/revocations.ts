import { randomUUID } from 'node:crypto';

import type { Clock } from '../time/clock.js';
import { CloseCode } from '../wire/close-codes.js';
import type {
  ClusterTarget,
  Goodbye,
  LocalDelivery,
  Revoked,
} from '../cluster/cluster-delivery.js';
import { parse } from './checks.js';
import type { RedisConnection } from './connections.js';
import type { Keys } from './keys.js';
import { DISCONNECT, isRevocation, type Revocation } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { type Published, readPublished } from './published.js';
import { answerWithin } from './redis-deadline.js';
import { concernsOneKey, UnreadableReplyError } from './redis-failure.js';
import { CLEAR, LOOK, REVOCATION_LIFE_MS, REVOKE } from './revocation-scripts.js';
import { isBefore, type LogEntry, readLook } from './revocation-log.js';
import type { Script } from './script.js';
import type { ServerOffset } from './server-offset.js';
import type { Unreadable } from './unreadable.js';

/** How often each node looks at what was revoked. */
export const LOOK_MS = 3_000;
/**
 * How long it is waited for the nodes: longer than a node takes for granted what it read last. One that
 * has not confirmed by then handles nothing before it has looked.
 */
const CONFIRM_MS = 10_000;
/** Revocations of its own that a node remembers, in case Redis loses them. */
const MOST_OWN = 10_000;
/** Revocations that came as a message and will come again in the log. */
const MOST_APPLIED = 10_000;
const NEVER_READ = '0-0';

const OUT_OF_TOUCH: Goodbye = {
  code: CloseCode.LEASE_LOST,
  reason: 'the server was out of touch for too long',
};

/** One that this node has made. */
interface Own {
  readonly revocation: Revocation;
  /** Monotonic milliseconds. */
  readonly at: number;
  /** Its place in the log; `undefined` while it has none. */
  id: string | undefined;
}

/** What revocations need of their node. */
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
  /** Nodes that hold a user, as Redis has it. */
  holders(userId: string): Promise<readonly string[]>;
  /** Nodes last heard of. */
  known(): readonly string[];
  /** Redis did not do what it was asked. */
  failed(error: unknown): void;
}

/**
 * Who is to be disconnected on all nodes. It is a fact in Redis and not only a message: a node that did not
 * hear of it (frozen, cut off, the message lost) reads it before it handles another message. It ends
 * connections that were there when it was made; later ones are welcome.
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
    this.host.bus.use(DISCONNECT, (revocation) => this.#apply(revocation));
  }

  /** Makes one. Resolves when all nodes have confirmed, or some have not in time. Never rejects. */
  async revoke(target: ClusterTarget, goodbye: Goodbye): Promise<Revoked> {
    const { clock, bus } = this.host;
    const revocation = { target, goodbye, id: randomUUID(), at: 0 };
    const own: Own = { revocation, at: clock.now(), id: undefined };
    this.#own.push(own);
    if (this.#own.length > MOST_OWN) this.#own.shift();
    const publish = (text: string): Promise<Published> => this.#publish(own, text);
    try {
      const { answers, silent } = await bus.collect(DISCONNECT, revocation, publish, CONFIRM_MS);
      return { answers, silent, isRecorded: own.id !== undefined };
    } catch (error) {
      this.host.failed(error);
      return { answers: new Map(), silent: this.host.known(), isRecorded: false };
    }
  }

  /** Applies what was revoked since the last look, and puts back what Redis has lost. */
  async look(): Promise<void> {
    this.#forgetOld();
    for (let isMore = true; isMore;) isMore = await this.#readOn();
    for (const own of this.#own) {
      if (own.id !== undefined) continue;
      await this.#publish(own, this.host.bus.envelope(DISCONNECT, own.revocation));
    }
  }

  // Returns whether there is more.
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

  // Returns whether there is more behind where the cursor is now.
  #moveOn(last: string, read: string | undefined): boolean {
    if (read !== undefined) {
      this.#cursor = read;
      return isBefore(read, last);
    }
    // The log has begun anew.
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

  #apply({ target, goodbye, id, at }: Revocation): Promise<number> | undefined {
    if (id !== undefined) {
      // It came as a message, and comes again in the log: who is new since then is welcome.
      if (this.#applied.has(id)) return Promise.resolve(0);
      this.#applied.add(id);
      if (this.#applied.size > MOST_APPLIED) this.#applied.delete(first(this.#applied));
    }
    return this.#local?.disconnect(target, goodbye, at && this.host.offset.monotonic(at));
  }

  // Out of touch for longer than revocations are kept: of those who were here then, anybody may have been
  // disconnected meanwhile. They come back and are asked again who they are.
  #missed(): void {
    void this.#local?.disconnectOlder(this.host.clock.now() - REVOCATION_LIFE_MS, OUT_OF_TOUCH);
  }

  // To every node that is alive, and to those that hold the user and are not known to be.
  async #publish(own: Own, envelope: string): Promise<Published> {
    const { host } = this;
    const { revocation } = own;
    const end = envelope.lastIndexOf('0}}');
    const [before, after] = [envelope.slice(0, end), envelope.slice(end + 1)];
    const ageMs = String(Math.max(0, Math.round(host.clock.now() - own.at)));
    const args = [ageMs, JSON.stringify(revocation), host.nodeId, host.keys.channelOf('')];
    const keys = [this.#log, host.keys.nodes];
    const reply = await this.#run(REVOKE, keys, [...args, before, after]);
    const [id, at, ...nodes] = Array.isArray(reply) ? (reply as unknown[]) : [];
    if (typeof id !== 'string') throw new UnreadableReplyError('a revocation');
    own.id = id;
    const alive = readPublished(nodes, host.seesAllReceivers());
    const reached = new Set([host.nodeId, ...alive.heard, ...alive.unheard]);
    const holders = await this.#holders(revocation.target);
    const others = holders.filter((nodeId) => !reached.has(nodeId));
    const { heard, unheard } = await host.bus.publish(others, before + String(at) + after);
    return { heard: [...alive.heard, ...heard], unheard: [...alive.unheard, ...unheard] };
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
