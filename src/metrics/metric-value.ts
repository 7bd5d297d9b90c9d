/** Label values. All of them come from closed sets: never a user, a thread, a connection or an address. */
export type Labels = Readonly<Record<string, string>>;

/** One value of a metric. */
export interface MetricValue {
  readonly labels: Labels;
  readonly value: number;
}
