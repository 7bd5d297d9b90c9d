import { type Excepted, isExcepted } from '../history/event-history.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { HistoryReader } from '../resume/history-reader.js';
import type { TopicKey } from '../history/history-key.js';
import type { Release } from '../time/clock.js';
import { withField } from '../wire/frame-encoding.js';
import { TopicUsers } from './topic-users.js';

/** What a member may have beside its membership. Created for the first of these. */
export interface MemberDetails {
  presence?: unknown;
  /** Its position in the history of the topic, where there is one. */
  reader?: HistoryReader<TopicKey>;
  /** Ends the watch that ends the membership. */
  stopExpiry?: Release | undefined;
  /**
   * The authorizer has granted this membership to the client, and is asked again after a renewal of the identity. Each
   * grant is another object.
   */
  grant?: object | undefined;
}

/** Adds the topic to an encoded frame: `{"event", "data", "topic"}`. */
export function topicFrame(body: string, topic: string): string {
  return withField(body, 'topic', topic);
}

/** One topic that connections of this process are in. */
export class Topic implements TopicKey {
  readonly members = new Set<WebSocketManager>();
  /** How many messages were sent to the members here. */
  messages = 0;
  /** The members by user. Kept only where other nodes, or the members, are told who joins and leaves. */
  readonly users: TopicUsers | undefined;
  #details: Map<WebSocketManager, MemberDetails> | undefined;

  constructor(
    readonly topic: string,
    tracksUsers: boolean,
  ) {
    this.users = tracksUsers ? new TopicUsers() : undefined;
  }

  detailsOf(manager: WebSocketManager): MemberDetails | undefined {
    return this.#details?.get(manager);
  }

  /** The details of a member, which is given some if it has none. */
  detailed(manager: WebSocketManager): MemberDetails {
    this.#details ??= new Map();
    let details = this.#details.get(manager);
    if (!details) this.#details.set(manager, (details = {}));
    return details;
  }

  /** The members that a message goes to. Counts the message. */
  audience(except?: readonly Excepted[]): WebSocketManager[] {
    this.messages += 1;
    const members = [...this.members];
    return except ? members.filter(({ context }) => !isExcepted(context, except)) : members;
  }

  /** Sets what a member shows of itself. That of the latest connection is the user's. */
  setPresence(manager: WebSocketManager, presence: unknown): void {
    this.detailed(manager).presence = presence;
    this.members.delete(manager);
    this.members.add(manager);
    this.users?.remove(manager);
    this.users?.add(manager);
  }

  /** Sets whether the authorizer has granted a membership. An earlier grant, and its expiry, do not count any more. */
  setGranted(manager: WebSocketManager, isGranted = false): void {
    const details = isGranted ? this.detailed(manager) : this.detailsOf(manager);
    if (!details) return;
    details.stopExpiry?.();
    details.grant = isGranted ? {} : undefined;
  }

  /** @returns whether this is the first connection of its user */
  add(manager: WebSocketManager): boolean {
    this.members.add(manager);
    return this.users?.add(manager) ?? false;
  }

  /** @returns whether this was the last connection of its user */
  remove(manager: WebSocketManager): boolean {
    this.members.delete(manager);
    const details = this.#details?.get(manager);
    details?.stopExpiry?.();
    details?.reader?.leave();
    this.#details?.delete(manager);
    return this.users?.remove(manager) ?? false;
  }
}
