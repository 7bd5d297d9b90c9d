import type { ClusterAnswers } from '../history/cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';

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

/** What became of connections that were to end. */
export interface Revoked extends ClusterAnswers<number> {
  /** Whether the cluster keeps it for the silent ones: they apply it before they handle another message. */
  readonly isRecorded: boolean;
}

/** Reaches connections on the other nodes. Contacts those only that hold the user. */
export interface ClusterDelivery {
  /** Tells who acts for the others on this node. Called once, before anything is sent. */
  useLocalDelivery(local: LocalDelivery): void;
  /** Hands a frame to the other nodes. Nobody waits; what cannot be sent is counted and said. */
  send(target: ClusterTarget, frame: string): void;
  /** As {@link send}; resolves to what became of it, within a deadline. Never rejects. */
  sendAndReport(target: ClusterTarget, frame: string): Promise<ClusterAnswers<DeliveryReport>>;
  /**
   * Ends connections on the other nodes: those that are there now, also on nodes that do not hear of it at
   * once. Bounded, never rejects.
   */
  disconnect(target: ClusterTarget, goodbye: Goodbye): Promise<Revoked>;
  /** The user's connections on the other nodes. Bounded, never rejects. */
  connectionsOf(userId: string): Promise<ClusterAnswers<readonly ConnectionInfo[]>>;
}

/** What this node does when another one asks. */
export interface LocalDelivery {
  deliver(target: ClusterTarget, frame: string): DeliveryReport;
  /**
   * @param before monotonic milliseconds: connections made later stay; where it is missing, none do
   */
  disconnect(target: ClusterTarget, goodbye: Goodbye, before?: number): Promise<number>;
  /** Ends all connections made before an instant, of all users. */
  disconnectOlder(before: number, goodbye: Goodbye): Promise<number>;
  connectionsOf(userId: string): readonly ConnectionInfo[];
}
