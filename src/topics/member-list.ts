import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Topic } from './topic.js';

/** A user in a topic. */
export interface PresenceMember {
  /** The id that the authenticator returned. */
  readonly userId: string;
  /** Connections of the user that are in the topic. */
  readonly connections: number;
  /** From the connection that joined last with `presence`. */
  readonly presence?: unknown;
}

/** The users of a topic on this node. @param only these users, where the topic keeps its members by user; default: all */
export function membersOf(topic: Topic, only?: ReadonlySet<string>): PresenceMember[] {
  const { users, members } = topic;
  // Not all members are looked through for the few that have changed: that would cost the more the larger the topic is.
  const named = only && users ? [...only].flatMap((userId) => users.of(userId)) : members;
  const byUser = new Map<string, PresenceMember>();
  for (const manager of named) {
    const { userId } = manager.context;
    const known = byUser.get(userId);
    byUser.set(userId, merged(known, memberOf(topic, manager)));
  }
  return [...byUser.values()];
}

function memberOf(topic: Topic, manager: WebSocketManager): PresenceMember {
  const { userId } = manager.context;
  const presence = topic.detailsOf(manager)?.presence;
  return { userId, connections: 1, ...(presence !== undefined && { presence }) };
}

/** One user, from two lists. */
export function merged(known: PresenceMember | undefined, more: PresenceMember): PresenceMember {
  if (!known) return more;
  const presence = more.presence ?? known.presence;
  return {
    userId: more.userId,
    connections: known.connections + more.connections,
    ...(presence !== undefined && { presence }),
  };
}

/**
 * A copy, so that later changes of the object do not change what other nodes have been told.
 *
 * @throws {TypeError} for data that JSON cannot express
 */
export function plain(presence: unknown): unknown {
  if (presence === undefined) return undefined;
  const text = JSON.stringify(presence) as string | undefined;
  if (text === undefined)
    throw new TypeError('Expected `presence` to be data that JSON can express.');
  return JSON.parse(text) as unknown;
}
