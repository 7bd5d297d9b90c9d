/** A gateway about to be bound to its server. */
interface Announcement {
  readonly gateway: object;
  readonly server: unknown;
}

// Nest tells an adapter the server of a gateway but not which gateway it is. It does set the gateway's properties
// with `@WebSocketServer()` immediately before, in the same turn: whoever is announced there is the one.
let announced: Announcement | undefined;

/**
 * The property with `@WebSocketServer()` that every isolated gateway has on its prototype, with a setter that
 * announces it. No field of the app can stand before it, as one named `afterInit` could.
 */
export const ANNOUNCING_PROPERTY = 'websocket-isolation:server';

/** @param ignored called when no adapter of ours takes it: the gateway is being bound without any isolation */
export function announceGateway(gateway: object, server: unknown, ignored: () => void): void {
  const announcement = { gateway, server };
  announced = announcement;
  queueMicrotask(() => {
    if (announced !== announcement) return;
    announced = undefined;
    ignored();
  });
}

/** The isolated gateway that is being bound to a server right now, if it is one of ours. */
export function takeAnnouncedGateway(server: unknown): object | undefined {
  const announcement = announced;
  announced = undefined;
  return announcement?.server === server ? announcement?.gateway : undefined;
}
