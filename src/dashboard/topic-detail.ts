import type { ManagerRegistry } from '../manager/manager-registry.js';
import type { Topic } from '../topics/topic.js';
import type { Topics } from '../topics/topics.service.js';
import { type TopicRow, topicRow } from './topic-list.js';

/** Users that are named. */
const MAX_NAMED = 50;
/** Connections that are visited to find them. */
const MAX_VISITED = 5_000;

/** A topic, with the users in it that have joined first. */
export interface TopicDetail extends TopicRow {
  readonly named: readonly { readonly userId: string; readonly connections: number }[];
  /** There are further users. */
  readonly isPart: boolean;
}

/** Returns `undefined` for a topic without members on this process. */
export function readTopic(
  name: string,
  topics: Topics,
  registry: ManagerRegistry,
): TopicDetail | undefined {
  const topic = topics.get(name);
  if (!topic) return undefined;
  const { userIds, isPart } = firstUsers(topic);
  const named = userIds.map((userId) => ({
    userId,
    connections: connectionsOf(userId, topic, registry),
  }));
  return { ...topicRow(topic, topics), named, isPart };
}

function firstUsers({ members }: Topic): { userIds: string[]; isPart: boolean } {
  const userIds = new Set<string>();
  let visited = 0;
  for (const { context } of members) {
    const isNew = !userIds.has(context.userId);
    if (visited === MAX_VISITED || (isNew && userIds.size === MAX_NAMED)) {
      return { userIds: [...userIds], isPart: true };
    }
    visited += 1;
    userIds.add(context.userId);
  }
  return { userIds: [...userIds], isPart: false };
}

function connectionsOf(
  userId: string,
  { users, members }: Topic,
  registry: ManagerRegistry,
): number {
  if (users) return users.of(userId).length;
  let connections = 0;
  for (const manager of registry.slotsOf(userId) ?? []) {
    if (members.has(manager)) connections += 1;
  }
  return connections;
}
