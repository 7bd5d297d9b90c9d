/** What nodes of a cluster said. */
export interface ClusterAnswers<T> {
  /** By node. */
  readonly answers: ReadonlyMap<string, T>;
  /** Nodes that hold the user and did not answer in time. */
  readonly silent: readonly string[];
}
