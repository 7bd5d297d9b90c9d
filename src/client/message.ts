/** A message of the server. */
export interface ServerMessage<Data = unknown> {
  readonly event: string;
  readonly data: Data;
  /** Set for a message to the members of a topic. */
  readonly topic?: string;
  /** Place in the history of the topic or, without a topic, of the thread. The client keeps it by itself. */
  readonly position?: string;
}

/** What else a frame of the server may carry. */
export interface Frame extends ServerMessage {
  readonly id?: string | number;
  readonly ask?: string;
}

/** `undefined` for a text that is no message. */
export function parseFrame(text: string): Frame | undefined {
  try {
    const frame: unknown = JSON.parse(text);
    return typeof frame === 'object' && frame !== null ? (frame as Frame) : undefined;
  } catch {
    return undefined;
  }
}

/** @throws {TypeError} for an event that is no string, and for data that JSON cannot express */
export function encode(frame: { readonly event: string; readonly [key: string]: unknown }): string {
  if (typeof frame.event !== 'string') throw new TypeError('The name of an event is a string.');
  return JSON.stringify(frame);
}

/** The id of the client's pings. Those of other messages are numbers. */
export const PING_ID = 'ping';
