/** A gateway about to be bound to its server. */
interface Announcement {
  readonly gateway: object;
  readonly server: unknown;
}

// Nest tells an adapter the server of a gateway but not which gateway it is. It does call the gateway's
// `afterInit(server)` immediately before, in the same turn: whoever is announced there is the one.
let announced: Announcement | undefined;

export function announceGateway(gateway: object, server: unknown): void {
  announced = { gateway, server };
}

/** The isolated gateway that is being bound to a server right now, if it is one of ours. */
export function takeAnnouncedGateway(server: unknown): object | undefined {
  const announcement = announced;
  announced = undefined;
  return announcement?.server === server ? announcement?.gateway : undefined;
}
