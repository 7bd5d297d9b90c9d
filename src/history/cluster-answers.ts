/** The answers of the nodes of a cluster. */
export interface ClusterAnswers<T> {
  /** By node id. */
  readonly answers: ReadonlyMap<string, T>;
  /** Nodes that hold the user and did not answer in time. */
  readonly silent: readonly string[];
}
