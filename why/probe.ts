/** The gateway that a probe runs on: Nest's own, or the library's. */
export type Side = 'stock' | 'isolated';

/** An event that a WebSocket server in production has to handle. */
export interface Probe {
  /** The description of the event. */
  readonly event: string;
  /** The finding of a server that handles the event well. */
  readonly good: string;
  /** Produces the event in a new application. Resolves with the finding. */
  run(side: Side): Promise<string>;
}
