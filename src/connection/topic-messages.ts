import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { InboundMessage } from '../wire/message-parser.js';
import { eventName } from './answers.js';
import type { ConnectionServices } from './connection-services.js';
import { refuseWaiting } from './reply.js';

/** Handles a message with which a client joins or leaves a topic: traced as other messages are, up to its reply. */
export function handleTopicMessage(
  { topics, tracing }: Pick<ConnectionServices, 'topics' | 'tracing'>,
  manager: WebSocketManager,
  path: string,
  message: InboundMessage,
): void {
  const step = tracing.tracer?.message(manager, path, eventName(message));
  if (!step) return void topics.handle(manager, message);
  // The authorizer runs inside, so spans of its database client become children.
  const replied = step.run(() => topics.handle(manager, message));
  if (replied) void replied.then(() => step.end());
  else step.end();
}

/** The connection is closing: its subscriptions that have no reply yet are refused. */
export function refuseSubscriptions(
  { topics }: Pick<ConnectionServices, 'topics'>,
  manager: WebSocketManager,
): void {
  for (const request of topics.closing(manager)) refuseWaiting(manager, request);
}
