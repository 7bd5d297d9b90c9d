import type { WebSocket } from 'ws';

import type { ClientAddresses } from '../address/client-addresses.js';
import type { HandshakeRequest, PathParams, ResolvedOptions } from '../config/isolation.options.js';
import { recordOpened } from '../connection/connection-events.js';
import type { ConnectionServices } from '../connection/connection-services.js';
import { Connection } from '../connection/connection.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import { assertNotExpired } from '../context/context.errors.js';
import { UserExecutionContext } from '../context/user-execution-context.js';
import type { IsolatedServer } from '../handlers/isolated-server.js';
import type { Authentication } from '../handshake/authentication.js';
import {
  abandon,
  type HandshakeAttempt,
  type HandshakeOutcome,
  type HandshakeOwner,
  type HandshakeStep,
} from '../handshake/handshake-attempt.js';
import type { HandshakeService } from '../handshake/handshake.service.js';
import { foreignOrigin, isOriginAllowed, originRefused } from '../handshake/origin.js';
import { authenticationRefused, HandshakeRefused, refusalFor } from '../handshake/refusal.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import { ManagerClosedError } from '../manager/manager.errors.js';
import type { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { TracedHandshake } from '../monitoring/tracer.js';
import type { Tracing } from '../monitoring/tracing.js';
import type { Resume } from '../resume/resume.service.js';
import { ConnectionRequest } from '../scope/connection-request.js';
import { ConnectionScope } from '../scope/connection-scope.js';
import type { Clock } from '../time/clock.js';
import { NO_PARAMS } from '../upgrade/path-pattern.js';
import type { Upgrade } from '../upgrade/refusal-response.js';
import { leaveErrors } from '../upgrade/upgrade-router.js';
import { CloseCode } from '../wire/close-codes.js';
import { endTrace } from './handshake-trace.js';
import { PreparedScope } from './prepared-scope.js';
import type { RefusedUpgrades } from './refused-upgrades.js';

/** The services that all arrivals of a process share. */
export interface ArrivalServices {
  readonly options: ResolvedOptions;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly tracing: Tracing;
  readonly handshakes: HandshakeService;
  readonly authentication: Authentication;
  readonly factory: WebSocketManagerFactory;
  readonly refused: RefusedUpgrades;
  readonly connections: ConnectionServices;
  readonly resume: Resume | undefined;
  readonly addresses: ClientAddresses;
}

/**
 * Turns one upgrade request into a connection. The steps are listed in the order in which they run; each calls the next
 * one, synchronously if there is nothing to wait for. `HandshakeAttempt` owns the deadline of steps 1 to 6 and gives
 * back a slot that is granted too late.
 */
export class Arrival implements HandshakeOwner {
  #traced: TracedHandshake | undefined = undefined;
  #attempt: HandshakeAttempt | undefined = undefined;
  #identity: ConnectionIdentity | undefined = undefined;
  #scope: ConnectionScope | undefined = undefined;

  constructor(
    private readonly host: ArrivalServices,
    private readonly server: IsolatedServer,
    private readonly upgrade: Upgrade,
  ) {}

  /** Takes the request through all steps. */
  start(): void {
    const { tracing, addresses } = this.host;
    const { request } = this.upgrade;
    this.#traced = tracing.tracer?.handshake(request, this.server.path, addresses.shown(request));
    if (this.#traced) this.#traced.run(() => this.#enter());
    else this.#enter();
  }

  // Step 1: does this process take connections, and are few enough handshakes under way?
  #enter(): void {
    this.#attempt = this.host.handshakes.begin(this.upgrade.socket, this);
    this.#attempt?.take(Arrival.#checkOrigin, this);
  }

  #take<T>(step: HandshakeStep<Arrival, T>): void {
    this.#attempt!.take(step, this);
  }

  // Step 2: may pages of this origin connect, and can the parameters of the path be read?
  static readonly #checkOrigin: HandshakeStep<Arrival, boolean> = {
    run: ({ upgrade, host }) => isOriginAllowed(upgrade.request, host.options.handshake),
    next: (arrival, isAllowed) => {
      const { upgrade, host, server } = arrival;
      if (!isAllowed) throw foreignOrigin(upgrade.request, host.options.handshake);
      arrival.#readParams();
      if (server.verify) arrival.#take(Arrival.#verify);
      else arrival.#take(Arrival.#authenticate);
    },
    failed: originRefused,
  };

  // On the request, where code of the app looks for them: `verifyClient`, the authenticator, `handleConnection`.
  #readParams(): void {
    const request = this.upgrade.request as { params?: PathParams; url?: string };
    try {
      request.params = this.server.pattern?.paramsOf(request.url) ?? NO_PARAMS;
    } catch (error) {
      throw new HandshakeRefused('invalid-path', { error });
    }
  }

  // Step 3: does the app's `verifyClient` accept the request, if its `ws` server has one?
  static readonly #verify: HandshakeStep<Arrival, boolean> = {
    run: ({ server, upgrade }) => server.verify!(upgrade.request),
    next: (arrival, isAllowed) => {
      if (!isAllowed) throw new HandshakeRefused('unauthorized');
      arrival.#take(Arrival.#authenticate);
    },
    failed: authenticationRefused,
  };

  // Step 4: which user is it?
  static readonly #authenticate: HandshakeStep<Arrival, ConnectionIdentity | null> = {
    run: (arrival) =>
      arrival.host.authentication.identify(
        arrival.upgrade.request as HandshakeRequest,
        arrival.#attempt!,
      ),
    next: (arrival, identity) => {
      if (!identity) throw new HandshakeRefused('unauthorized');
      arrival.#identity = identity;
      arrival.#take(Arrival.#takeSlot);
    },
    failed: authenticationRefused,
  };

  // Step 5: makes a context of the identity, and takes a slot for it, in this process and in the cluster.
  static readonly #takeSlot: HandshakeStep<Arrival, WebSocketManager> = {
    run: (arrival) => {
      const { clock, resume, factory } = arrival.host;
      const { request } = arrival.upgrade;
      const context = UserExecutionContext.fromHttpRequest(request, arrival.#identity!);
      assertNotExpired(context, clock.epoch());
      resume?.assertOwn(context, request);
      return factory.arrive(context);
    },
    next: (arrival, manager) => {
      arrival.#attempt!.manager = manager;
      // It may have ended while it waited: nothing would dispose of its scope.
      if (!manager.isActive) throw new ManagerClosedError('createManager');
      arrival.#take(Arrival.#openScope);
    },
    tooLate: abandon,
  };

  // Step 6: makes the connection's own instances of scoped providers.
  static readonly #openScope: HandshakeStep<Arrival, void> = {
    run: (arrival) => {
      const { server, upgrade, host } = arrival;
      const manager = arrival.#attempt!.manager!;
      const { keepHeaders } = host.options.handshake;
      const address = host.addresses.trustsProxies ? arrival.address() : undefined;
      const { path, scopeBlueprint } = server;
      const request = upgrade.request as HandshakeRequest;
      const value = ConnectionRequest.from(manager.context, request, path, keepHeaders, address);
      arrival.#scope = new ConnectionScope(scopeBlueprint, value);
      const prepared = new PreparedScope(arrival.#scope, manager, path);
      manager.useHooks(prepared);
      return prepared.open();
    },
    next: (arrival) => arrival.#attempt!.admit(arrival.#attempt!.manager!),
    failed: (error, arrival) => {
      const { userId } = arrival.#attempt!.manager!.context;
      return new HandshakeRefused('scope-failed', { error, userId });
    },
  };

  address(): string | undefined {
    return this.host.addresses.of(this.upgrade.request);
  }

  returningTo(): string | undefined {
    return this.host.resume?.returningTo(this.upgrade.request);
  }

  /** Called once, when steps 1 to 6 have succeeded, failed, or been left by the client. */
  handshakeEnded(outcome: HandshakeOutcome): void {
    if (this.#traced) endTrace(this.#traced, outcome, this.host.options.handshake.rejectWith);
    if (outcome === 'gone') return;
    const { upgrade, server } = this;
    if ('refusal' in outcome) this.host.refused.refuse(upgrade, outcome.refusal, server);
    else this.#switchProtocols(outcome.manager);
  }

  // Step 7: `ws` responds with 101 and makes the socket.
  #switchProtocols(manager: WebSocketManager): void {
    const { request, socket, head } = this.upgrade;
    const abandonUpgrade = (): void =>
      void manager.beginClose(CloseCode.ABNORMAL, 'upgrade failed', 'network');
    if (socket.destroyed) return abandonUpgrade();
    let isUpgraded = false;
    const upgraded = (client: WebSocket): void => {
      isUpgraded = true;
      socket.off('close', abandonUpgrade);
      leaveErrors(socket);
      if (manager.isActive) this.#connect(manager, client);
      else this.host.refused.dismiss(client);
    };
    try {
      this.server.webSocketServer.handleUpgrade(request, socket, head, upgraded);
      // `ws` itself responds to a malformed upgrade request.
      if (!isUpgraded) socket.once('close', abandonUpgrade);
    } catch (error) {
      // `handleProtocols` is code of the app and may throw, since its input comes from the client.
      abandonUpgrade();
      const { userId } = manager.context;
      const refusal = refusalFor('scope-failed', { error, userId });
      this.host.refused.refuse(this.upgrade, refusal, this.server, 'http');
    }
  }

  // Step 8: socket, scope and manager become one connection, before any code of the app sees the socket.
  #connect(manager: WebSocketManager, client: WebSocket): void {
    const { server } = this;
    const { request } = this.upgrade;
    const scope = this.#scope!;
    scope.bind(client);
    manager.attach(client);
    // The socket has closed already. The prepared hooks dispose of the scope.
    if (!manager.isActive) return;
    try {
      const instances = server.gateways.map((gateway) => gateway.instanceIn(scope));
      const { connections } = this.host;
      const connection = new Connection(connections, server, manager, scope, instances, client);
      // Only now: a listener may close the connection, and its hooks end what its constructor has begun.
      recordOpened(connection, this.upgrade.startedAt);
      if (!manager.isActive) return;
      // For plain gateways on the same path, and for listeners of the app.
      server.webSocketServer.emit('connection', client, request);
      connection.open(request);
    } catch (error) {
      const subject = subjectOf(manager.context);
      this.host.journal.record('hook-failed', { subject, hook: 'connection', error });
      void manager.close(CloseCode.SERVER_ERROR, 'server error');
    }
  }
}
