import { exceptionReply, MessageRefusedError } from '../handlers/exception-reply.js';
import { formatPosition, NOWHERE, parsePosition, type Position } from '../history/position.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { encodeFrame } from '../wire/frame-encoding.js';

/** What a client has asked for a topic. */
export interface TopicRequest {
  readonly manager: WebSocketManager;
  readonly id: string | number | undefined;
  readonly topic: string;
}

/**
 * The position in a request. A text that is no position, or a value of another type, is a position that is not known: the
 * client gets a gap.
 */
export function positionIn(data: unknown): Position | undefined {
  const { position } = data as { position?: unknown };
  if (position === undefined || position === null) return undefined;
  return (typeof position === 'string' ? parsePosition(position) : undefined) ?? NOWHERE;
}

export function subscribed({ manager, id, topic }: TopicRequest, at: Position | undefined): void {
  const position = at && formatPosition(at);
  reply(manager, 'subscribed', id, { topic, ...(position !== undefined && { position }) });
}

export function refuse(
  manager: WebSocketManager,
  code: string,
  text: string,
  id: string | number | undefined,
): void {
  const frame = encodeFrame('exception', exceptionReply(new MessageRefusedError(code, text), id));
  if (frame !== undefined) manager.sendFrame(frame);
}

export function reply(
  manager: WebSocketManager,
  event: string,
  id: string | number | undefined,
  data: object,
): void {
  manager.sendFrame(JSON.stringify({ event, ...(id !== undefined && { id }), data }));
}
