// A dead line carries nothing. A busy one carries replies and messages, although a ping waits behind thousands of them.
const carried = new WeakMap<object, number>();

/** A reply or a message came over the connection. */
export function noteActivity(connection: object): void {
  carried.set(connection, activityOf(connection) + 1);
}

/** How many replies and messages the connection has carried. */
export function activityOf(connection: object): number {
  return carried.get(connection) ?? 0;
}
