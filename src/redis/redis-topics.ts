import { randomUUID } from 'node:crypto';

import type {
  ClusterTopics,
  LocalTopics,
  PresenceChange,
  TopicUser,
} from '../cluster/cluster-topics.js';
import type { Clock, Release } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import { type Check, count, parse, record } from './checks.js';
import type { RedisConnections } from './connections.js';
import type { Keys } from './keys.js';
import type { LeaseRegistry } from './lease-registry.js';
import { ONLINE, PRESENCE } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { answerWithin } from './redis-deadline.js';
import { REPORT_MS } from './redis-delivery.js';
import { concernsOneKey, UnreadableReplyError } from './redis-failure.js';
import type { RedisClusterSettings } from './redis.options.js';
import type { Script } from './script.js';
import { TopicMembers, type TopicMembersOwner } from './topic-members.js';
import { COUNT, FORGET_TOPIC, SYNC, USERS } from './topic-scripts.js';
import type { Unreadable } from './unreadable.js';

/** Users that one command names. */
const MOST_USERS = 1_000;
/** Topics that are renewed at the same time. */
const BATCH = 250;

/** What topics need from their node. */
export interface TopicServices {
  readonly clock: Clock;
  readonly connections: RedisConnections;
  readonly keys: Keys;
  readonly bus: NodeBus;
  readonly nodeId: string;
  readonly leases: Pick<LeaseRegistry, 'peek'>;
  readonly settings: Pick<RedisClusterSettings, 'leaseMs' | 'renewMs' | 'commandTimeoutMs'>;
  readonly unreadable: Unreadable;
  /** The other nodes at this moment, or, if Redis does not reply, at the last heartbeat. */
  others(): Promise<readonly string[]>;
  /** A command to Redis failed; it is retried. */
  stumbled(error: unknown): void;
  /** The set-up of the cluster has a fault. */
  warn(what: string): void;
}

interface UserState {
  readonly connections: number;
  readonly presence?: unknown;
}

const isState: Check<UserState> = record<UserState>({
  connections: count(),
  presence: (_value): _value is unknown => true,
});

/** The members of topics in Redis. */
export class RedisTopics implements ClusterTopics, TopicMembersOwner {
  // The topics that this node has, or had, members in.
  readonly #members = new Map<string, TopicMembers>();
  #local: LocalTopics | undefined;
  #stopRenewing: Release | undefined;
  #hasLeft = false;
  #hasWarned = false;

  constructor(private readonly services: TopicServices) {
    services.bus.use(PRESENCE, ({ topic, change }) => this.#heard(topic, change));
    services.bus.use(ONLINE, ({ after }) => this.#local?.onlineAfter(after, MOST_USERS));
  }

  useLocalTopics(local: LocalTopics): void {
    this.#local = local;
  }

  changed(topic: string, userId: string): Promise<void> {
    if (this.#hasLeft) return Promise.resolve();
    let members = this.#members.get(topic);
    if (!members) {
      members = new TopicMembers(topic, this);
      this.#members.set(topic, members);
      const { clock, settings } = this.services;
      this.#stopRenewing ??= clock.every(settings.renewMs, () => void this.renew());
    }
    const { clock, settings } = this.services;
    const known = members.changed(userId);
    return withDeadline(clock, settings.commandTimeoutMs, known).then(() => undefined);
  }

  async usersOf(topic: string): Promise<TopicUser[]> {
    const reply = await this.#read(USERS, topic);
    if (!Array.isArray(reply)) throw new UnreadableReplyError('the members of a topic');
    const users: TopicUser[] = [];
    for (let index = 0; index < reply.length; index += 2) {
      if (reply[index] === '') continue;
      const state = parse(String(reply[index + 1]), isState);
      if (state) users.push({ userId: String(reply[index]), ...state });
      else this.services.unreadable.note('a member of a topic');
    }
    return users;
  }

  async countOf(topic: string): Promise<number> {
    return Number(await this.#read(COUNT, topic));
  }

  async isOnline(userId: string): Promise<boolean> {
    const { clock, settings, leases, keys } = this.services;
    const peeked = leases.peek(keys.ofUser(keys.hashOf(userId)));
    return (await answerWithin(clock, settings.commandTimeoutMs, peeked)).length > 0;
  }

  async *onlineElsewhere(): AsyncIterable<string> {
    const { bus } = this.services;
    for (const nodeId of await this.services.others()) {
      let after = '';
      for (;;) {
        const [page = []] = await bus.ask([nodeId], ONLINE, { after }, REPORT_MS);
        yield* page;
        const last = page.at(-1);
        if (last === undefined || last <= after) break;
        after = last;
      }
    }
  }

  /** Renews the leases of all topics, and sends what Redis does not know yet. */
  async renew(): Promise<void> {
    const all = [...this.#members.values()];
    for (let start = 0; start < all.length; start += BATCH) {
      const renewed = all.slice(start, start + BATCH).map((members) => members.renew());
      await withDeadline(
        this.services.clock,
        this.services.settings.commandTimeoutMs,
        Promise.all(renewed),
      );
    }
  }

  /** The process leaves the cluster: while Redis is up, waits until it knows, but not longer than the deadline. */
  async leave(isUp: boolean): Promise<void> {
    const { clock, settings } = this.services;
    const settled = Promise.all([...this.#members.values()].map((members) => members.settled()));
    if (isUp) await withDeadline(clock, settings.commandTimeoutMs, settled);
    this.#hasLeft = true;
    this.#stopRenewing?.();
    this.#stopRenewing = undefined;
    this.#members.clear();
  }

  /** @internal Sends users of a topic to Redis. Resolves to whether Redis has exactly the users sent up to now. */
  async sync(topic: string, changed: ReadonlySet<string> | 'all'): Promise<boolean> {
    try {
      return await this.#sync(topic, changed);
    } catch (error) {
      if (!concernsOneKey(error)) throw error;
      this.services.unreadable.note('the members of a topic');
      await this.#run(FORGET_TOPIC, this.#keysOf(topic), []);
      return this.#sync(topic, 'all');
    }
  }

  userCount(topic: string): number {
    return this.#local?.userCount(topic) ?? 0;
  }

  /** @internal A sync has failed; it is repeated with the next renewal. */
  failed(error: unknown): void {
    this.services.stumbled(error);
  }

  /** @internal No member is left here, and Redis knows. */
  done(topic: string, members: TopicMembers): void {
    if (this.#members.get(topic) === members) this.#members.delete(topic);
    if (this.#members.size > 0) return;
    this.#stopRenewing?.();
    this.#stopRenewing = undefined;
  }

  #heard(topic: string, change: PresenceChange): void {
    this.#local?.changed(topic, change);
    // Redis tells the members only what nodes with `topics.presence` send, so they would miss what this one does.
    if (this.#hasWarned || !this.#local || this.#local.mostNamed !== undefined) return;
    this.#hasWarned = true;
    this.services.warn(
      '`topics.presence` is on at other nodes and off at this one: members on the other nodes get no `presence` event ' +
        'for users who join and leave here. Set the option to the same value on all nodes.',
    );
  }

  async #sync(topic: string, changed: ReadonlySet<string> | 'all'): Promise<boolean> {
    // Those that change while the command is under way go with the next one.
    const expected = this.userCount(topic);
    const here = this.#local?.usersOf(topic, changed === 'all' ? undefined : changed) ?? [];
    const states = new Map(here.map(({ userId, ...state }) => [userId, JSON.stringify(state)]));
    const names = changed === 'all' ? [...states.keys()] : [...changed];
    const { nodeId, settings } = this.services;
    const head = [...this.#announcement(topic), nodeId, String(settings.leaseMs), randomUUID()];
    let size = 0;
    // The list of all users goes in one command: users that it does not name are removed.
    const most = changed === 'all' ? Math.max(1, names.length) : MOST_USERS;
    for (let start = 0; start === 0 || start < names.length; start += most) {
      const part = names.slice(start, start + most);
      const users = part.flatMap((name) => [name, states.get(name) ?? '']);
      const args = [...head, changed === 'all' ? 'all' : 'some', ...users];
      size = Number(await this.#run(SYNC, this.#keysOf(topic), args));
    }
    return size === expected;
  }

  // What every script begins with, to tell the nodes: the message around the change, which Redis fills in. It is empty
  // where members are told nothing.
  #announcement(topic: string): string[] {
    const { keys, bus } = this.services;
    const where = [this.#prefixOf(topic), keys.channelOf('')];
    const mostNamed = this.#local?.mostNamed;
    if (mostNamed === undefined) return [...where, '', '', '0'];
    const envelope = bus.envelope(PRESENCE, { topic, change: null as never });
    const end = envelope.lastIndexOf('null');
    const parts = [envelope.slice(0, end), envelope.slice(end + 'null'.length)];
    return [...where, ...parts, String(mostNamed)];
  }

  async #read(script: Script, topic: string): Promise<unknown> {
    const { clock, settings } = this.services;
    const known = this.#members.get(topic)?.settled();
    // What this node has told before is counted.
    if (known) await withDeadline(clock, settings.commandTimeoutMs, known);
    return this.#run(script, this.#keysOf(topic).slice(0, 2), this.#announcement(topic));
  }

  #run(script: Script, keys: string[], args: string[]): Promise<unknown> {
    const { clock, settings, connections } = this.services;
    const reply = script.run(connections.get('leases'), keys, args);
    return answerWithin(clock, settings.commandTimeoutMs, reply);
  }

  #keysOf(topic: string): string[] {
    const { keys, nodeId } = this.services;
    const hash = keys.hashOf(topic);
    const own = this.#prefixOf(topic) + nodeId;
    return [keys.ofTopic(hash, 'nodes'), keys.ofTopic(hash, 'users'), own];
  }

  #prefixOf(topic: string): string {
    return this.services.keys.ofTopic(this.services.keys.hashOf(topic), 'node:');
  }
}
