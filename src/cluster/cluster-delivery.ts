import type { ClusterAnswers, DeliveryReport } from '../history/receipt.js';

/** Whom a message, or a goodbye, is for. */
export type ClusterTarget =
  | { readonly userId: string; readonly threadId?: string | undefined }
  | { readonly connectionId: string };

/** A connection, as other nodes may know it. */
export interface ConnectionInfo {
  readonly nodeId: string;
  readonly connectionId: string;
  readonly userId: string;
  readonly threadId: string;
  readonly state: string;
  /** Milliseconds since it was made. */
  readonly ageMs: number;
  /** Milliseconds without traffic. */
  readonly idleMs: number;
}

/** How connections are ended. */
export interface Goodbye {
  readonly code: number;
  readonly reason: string;
}

/** Reaches connections on the other nodes. Contacts those only that hold the user. */
export interface ClusterDelivery {
  /** Tells who acts for the others on this node. Called once, before anything is sent. */
  serve(local: LocalDelivery): void;
  /** Hands a frame to the other nodes. Nobody waits; what cannot be sent is counted and said. */
  send(target: ClusterTarget, frame: string): void;
  /** As {@link send}; resolves to what became of it, within a deadline. Never rejects. */
  sendAndReport(target: ClusterTarget, frame: string): Promise<ClusterAnswers<DeliveryReport>>;
  /** Ends connections on the other nodes; resolves to how many there were. Bounded, never rejects. */
  disconnect(target: ClusterTarget, goodbye: Goodbye): Promise<ClusterAnswers<number>>;
  /** The user's connections on the other nodes. Bounded, never rejects. */
  connectionsOf(userId: string): Promise<ClusterAnswers<readonly ConnectionInfo[]>>;
}

/** What this node does when another one asks. */
export interface LocalDelivery {
  deliver(target: ClusterTarget, frame: string): DeliveryReport;
  disconnect(target: ClusterTarget, goodbye: Goodbye): Promise<number>;
  connectionsOf(userId: string): readonly ConnectionInfo[];
}
