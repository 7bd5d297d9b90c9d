import type { UserExecutionContext } from 'nestjs-websocket-isolation';

const ROOM = /^room:\S(?:.{0,38}\S)?$/u;

/** The topic of a room that people talk in. */
export function topicOf(room: unknown): string {
  return `room:${String(room)}`;
}

/** Decides who may subscribe to a topic: in the demo, every visitor may enter every room. */
export function mayEnter(_visitor: UserExecutionContext, topic: string): boolean {
  return ROOM.test(topic);
}
