import type { ClusterAnswers } from '../history/cluster-answers.js';
import type { Excepted } from '../history/event-history.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type { FramePolicy } from '../wire/send-policy.js';
import type { Message } from '../wire/write-frame.js';

/** The connections that a message, or a revocation, is for. */
export type ClusterTarget =
  | { readonly userId: string; readonly threadId?: string | undefined }
  | { readonly connectionId: string };

/** The receivers of a message: also the members of a topic, or all connections, without those excepted. */
export type DeliveryTarget =
  | ClusterTarget
  | { readonly topic: string; readonly except?: readonly Excepted[] | undefined }
  | { readonly all: true; readonly except?: readonly Excepted[] | undefined };

/** A connection, as other nodes see it. */
export interface ConnectionInfo {
  readonly nodeId: string;
  readonly connectionId: string;
  readonly userId: string;
  readonly threadId: string;
  readonly state: string;
  /** Milliseconds since the connection was made. */
  readonly ageMs: number;
  /** Milliseconds without traffic. */
  readonly idleMs: number;
}

/** The close code and reason with which connections are ended. */
export interface Goodbye {
  readonly code: number;
  readonly reason: string;
}

/** What connections lose: with a goodbye they are closed; otherwise they leave a topic and stay open. */
export type Revocation = { readonly goodbye: Goodbye } | { readonly topic: string };

/** The result of a revocation on the other nodes: of how many connections each node has revoked it. */
export interface Revoked extends ClusterAnswers<number> {
  /** Whether the cluster keeps the revocation for silent nodes, which apply it before they handle another message. */
  readonly isRecorded: boolean;
}

/**
 * Reaches connections on the other nodes. A message for a user goes only to the nodes that hold the user, one for a
 * topic only to those that have members.
 */
export interface ClusterDelivery {
  /** Sets what acts on this node for the other nodes. Called once, before anything is sent. */
  useLocalDelivery(local: LocalDelivery): void;
  /** Hands a message to the other nodes without waiting. One that cannot be sent is counted and reported. */
  send(target: DeliveryTarget, message: Message, policy?: FramePolicy): void;
  /** As {@link send}; resolves to the reports of the nodes, within a deadline. Never rejects. */
  sendAndReport(
    target: DeliveryTarget,
    message: Message,
    policy?: FramePolicy,
  ): Promise<ClusterAnswers<DeliveryReport>>;
  /**
   * Closes connections on the other nodes, or takes them out of a topic: those that exist at this moment, also on nodes
   * that do not get the message at once. Bounded in time, never rejects.
   */
  revoke(target: ClusterTarget, revocation: Revocation): Promise<Revoked>;
  /** The user's connections on the other nodes. Bounded in time, never rejects. */
  connectionsOf(userId: string): Promise<ClusterAnswers<readonly ConnectionInfo[]>>;
}

/** What this node does when another node asks. */
export interface LocalDelivery {
  deliver(target: DeliveryTarget, message: Message, policy?: FramePolicy): DeliveryReport;
  /**
   * @param before monotonic milliseconds: connections made later stay. Default: no connection stays
   */
  revoke(target: ClusterTarget, revocation: Revocation, before?: number): Promise<number>;
  /** Ends all connections made before an instant, of all users. */
  disconnectOlder(before: number, goodbye: Goodbye): Promise<number>;
  connectionsOf(userId: string): readonly ConnectionInfo[];
}
