/**
 * - `connecting`: a connection is being opened.
 * - `open`: what is sent goes out at once.
 * - `waiting`: there is no connection, and there will be an attempt: after `retryInMs`, or when there is a reason.
 * - `closed`: for good.
 */
export type ClientState = 'connecting' | 'open' | 'waiting' | 'closed';

/** What listeners of the state get. */
export interface StateChange {
  readonly state: ClientState;
  /** In `waiting` and `closed`: why the connection ended, as a close code. 1006: it was lost. */
  readonly code?: number;
  /** In `waiting` and `closed`: the reason of the close frame, or what the `WebSocket` or the client has to say. */
  readonly reason?: string;
  /** In `waiting`: milliseconds until the next attempt. Without it, the client waits for a reason to connect. */
  readonly retryInMs?: number;
}
