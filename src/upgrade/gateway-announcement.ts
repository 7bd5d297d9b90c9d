/** A gateway about to be bound to its server. */
interface Announcement {
  readonly gateway: object;
  readonly server: unknown;
}

// Nest passes the server of a gateway to the adapter, but not the gateway. Immediately before, in the same turn, Nest
// sets the gateway's properties with `@WebSocketServer()`. A setter among them announces the gateway here.
let announced: Announcement | undefined;

/**
 * The property with `@WebSocketServer()` that every isolated gateway has on its prototype. Its setter announces the
 * gateway. A field of the app cannot shadow this property, as a field named `afterInit` could shadow that hook.
 */
export const ANNOUNCING_PROPERTY = 'websocket-isolation:server';

/**
 * Announces a gateway that Nest is about to bind.
 *
 * @param ignored called if no `IsolatedWsAdapter` takes the gateway: it is being bound without any isolation
 */
export function announceGateway(gateway: object, server: unknown, ignored: () => void): void {
  const announcement = { gateway, server };
  announced = announcement;
  queueMicrotask(() => {
    if (announced !== announcement) return;
    announced = undefined;
    ignored();
  });
}

/** Returns the isolated gateway that is being bound to a server right now; `undefined` for a plain gateway. */
export function takeAnnouncedGateway(server: unknown): object | undefined {
  const announcement = announced;
  announced = undefined;
  return announcement?.server === server ? announcement?.gateway : undefined;
}
