/** What became of a message to several connections, in numbers of connections. */
export interface DeliveryReport {
  /** Handed to the operating system. */
  readonly sent: number;
  /** Waiting: behind earlier messages of a slow reader, or for the connection to become ready. */
  readonly queued: number;
  /** Closed, not attached, too slow, or the data is not JSON. */
  readonly dropped: number;
}

/** What nodes of a cluster said. */
export interface ClusterAnswers<T> {
  /** By node. */
  readonly answers: ReadonlyMap<string, T>;
  /** Nodes that hold the user and did not answer in time. */
  readonly silent: readonly string[];
}
