import { BadRequestException } from '@nestjs/common';

import { MAX_IDENTIFIER_LENGTH } from '../context/identifier.js';
import { topicFault } from '../topics/topic-name.js';

const ON_CONNECTIONS = ['disconnect-connection', 'disconnect-user'] as const;
const ON_TOPICS = ['remove-connection-from-topic', 'remove-user-from-topic'] as const;
const ON_PROCESS = ['cleanup', 'drain'] as const;
const ACTIONS = [...ON_CONNECTIONS, ...ON_TOPICS, ...ON_PROCESS];

export type ActionName = (typeof ACTIONS)[number];

export interface ActionRequest {
  readonly action: ActionName;
  /** The connection's or the user's id. */
  readonly target: string;
  /** Whether the clients may reconnect at once (1001) or have to sign in again (4401). */
  readonly mayReconnect: boolean;
  /** The topic that the target is removed from. */
  readonly topic: string;
}

/**
 * @param body what the page sent
 * @throws {BadRequestException} if it is not a valid action
 */
export function parseAction(body: unknown): ActionRequest {
  const given = (body ?? {}) as Record<string, unknown>;
  const { action, target = '', mayReconnect = false, topic = '' } = given;
  if (!isOneOf(ACTIONS, action)) {
    throw new BadRequestException(`Expected \`action\` to be one of ${ACTIONS.join(', ')}.`);
  }
  if (typeof mayReconnect !== 'boolean') {
    throw new BadRequestException('Expected `mayReconnect` to be true or false.');
  }
  if (!isTarget(target, action)) {
    throw new BadRequestException('Expected `target` to be the id of a connection or a user.');
  }
  if (!isTopic(topic, action)) {
    throw new BadRequestException('Expected `topic` to be the name of a topic.');
  }
  return { action, target, mayReconnect, topic };
}

function isOneOf<Name extends string>(names: readonly Name[], value: unknown): value is Name {
  return (names as readonly unknown[]).includes(value);
}

function isTarget(value: unknown, action: ActionName): value is string {
  if (value === '') return isOneOf(ON_PROCESS, action);
  return typeof value === 'string' && value.length <= MAX_IDENTIFIER_LENGTH && value.isWellFormed();
}

function isTopic(value: unknown, action: ActionName): value is string {
  return value === '' ? !isOneOf(ON_TOPICS, action) : topicFault(value) === undefined;
}
