/** Whose gateway is asked. */
export type Side = 'stock' | 'isolated';

/** One thing that happens to every WebSocket server sooner or later. */
export interface Probe {
  /** What happens. */
  readonly event: string;
  /** What a server one can trust does then. */
  readonly good: string;
  /** Lets it happen in an application of its own, and tells what came of it. */
  run(side: Side): Promise<string>;
}
