/** A user of a topic on one node. */
export interface TopicUser {
  /** The id that the authenticator returned. */
  readonly userId: string;
  /** Connections of the user in the topic. */
  readonly connections: number;
  /** What the user's connection told about itself when it joined. */
  readonly presence?: unknown;
}

/** Who has joined and left a topic, over all nodes. */
export interface PresenceChange {
  /** Users whose first connection has joined. */
  readonly joined: readonly string[];
  /** Users whose last connection has left. */
  readonly left: readonly string[];
  /** Users in the topic. */
  readonly count: number;
}

/** This node's side of its topics. */
export interface LocalTopics {
  /** Up to how many users of a topic are named to its members; `undefined` where members are told nothing. */
  readonly mostNamed: number | undefined;
  /** The number of users of a topic on this node. */
  userCount(topic: string): number;
  /** The users of a topic on this node. @param only these users; default: all */
  usersOf(topic: string, only?: ReadonlySet<string>): readonly TopicUser[];
  /** The users that have connections on this node, in the order of their ids. */
  onlineAfter(userId: string, most: number): readonly string[];
  /** Users have joined or left a topic that this node has members in. */
  changed(topic: string, change: PresenceChange): void;
}

/** Keeps which node has which members of which topic. A node that dies takes its members with it within a lease. */
export interface ClusterTopics {
  /** Sets this node's side. Called once, before anything is joined. */
  useLocalTopics(local: LocalTopics): void;
  /**
   * The connections of a user in a topic have changed on this node. Resolves when the cluster knows, or does not reply
   * in time: then it is told later. Never rejects.
   */
  changed(topic: string, userId: string): Promise<void>;
  /** The users of a topic on all nodes. Rejects when the cluster does not reply. */
  usersOf(topic: string): Promise<readonly TopicUser[]>;
  /** The number of users of a topic on all nodes. Rejects when the cluster does not reply. */
  countOf(topic: string): Promise<number>;
  /** Whether a user has connections on any node. Rejects when the cluster does not reply. */
  isOnline(userId: string): Promise<boolean>;
  /** Users with connections on other nodes, node by node. A user may come more than once. */
  onlineElsewhere(): AsyncIterable<string>;
}
