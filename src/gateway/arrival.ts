import type { WebSocket } from 'ws';

import type { ResolvedOptions } from '../config/isolation.options.js';
import type { ConnectionServices } from '../connection/connection-services.js';
import { Connection } from '../connection/connection.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import { assertNotExpired, UserExecutionContext } from '../context/user-execution-context.js';
import type { IsolatedServer } from '../handlers/isolated-server.js';
import type { Authentication } from '../handshake/authentication.js';
import {
  abandon,
  type HandshakeAttempt,
  type HandshakeOutcome,
} from '../handshake/handshake-attempt.js';
import type { HandshakeService } from '../handshake/handshake.service.js';
import { foreignOrigin, isOriginAllowed, originRefused } from '../handshake/origin.js';
import { authenticationRefused, HandshakeRefused } from '../handshake/refusal.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import type { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { TracedHandshake } from '../monitoring/tracer.js';
import type { Tracing } from '../monitoring/tracing.js';
import type { Resume } from '../resume/resume.service.js';
import { ConnectionRequest } from '../scope/connection-request.js';
import { ConnectionScope } from '../scope/connection-scope.js';
import type { Clock } from '../time/clock.js';
import { dismiss, type Upgrade } from '../upgrade/refusal-response.js';
import { CloseCode } from '../wire/close-codes.js';
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
}

/**
 * Turns one upgrade request into a connection. The steps are listed in the order in which they run; each calls the next
 * one, synchronously if there is nothing to wait for. `HandshakeAttempt` owns the deadline of steps 1 to 6 and gives
 * back a slot that is granted too late.
 */
export class Arrival {
  #traced: TracedHandshake | undefined = undefined;
  #scope: ConnectionScope | undefined = undefined;

  constructor(
    private readonly host: ArrivalServices,
    private readonly server: IsolatedServer,
    private readonly upgrade: Upgrade,
  ) {}

  /** Takes the request through all steps. */
  start(): void {
    const { tracing } = this.host;
    this.#traced = tracing.tracer?.handshake(this.upgrade.request, this.server.path);
    if (this.#traced) this.#traced.run(() => this.#enter());
    else this.#enter();
  }

  // Step 1: does this process take connections, and are few enough handshakes under way?
  #enter(): void {
    const done = (outcome: HandshakeOutcome): void => this.#handshakeEnded(outcome);
    const attempt = this.host.handshakes.begin(this.upgrade.socket, done);
    if (attempt) this.#checkOrigin(attempt);
  }

  // Step 2: may pages of this origin connect?
  #checkOrigin(attempt: HandshakeAttempt): void {
    const { request } = this.upgrade;
    const { handshake } = this.host.options;
    const asked = (isAllowed: boolean): void => {
      if (!isAllowed) throw foreignOrigin(request, handshake);
      this.#verify(attempt);
    };
    attempt.ask(() => isOriginAllowed(request, handshake), asked, originRefused);
  }

  // Step 3: does the app's `verifyClient` accept the request, if its `ws` server has one?
  #verify(attempt: HandshakeAttempt): void {
    const { verify } = this.server;
    if (!verify) return this.#authenticate(attempt);
    const asked = (isAllowed: boolean): void => {
      if (!isAllowed) throw new HandshakeRefused('unauthorized');
      this.#authenticate(attempt);
    };
    attempt.ask(() => verify(this.upgrade.request), asked, authenticationRefused);
  }

  // Step 4: which user is it?
  #authenticate(attempt: HandshakeAttempt): void {
    const identify = () => this.host.authentication.identify(this.upgrade.request, attempt);
    const identified = (identity: ConnectionIdentity | null): void => {
      if (!identity) throw new HandshakeRefused('unauthorized');
      this.#takeSlot(attempt, identity);
    };
    attempt.ask(identify, identified, authenticationRefused);
  }

  // Step 5: makes a context of the identity, and takes a slot for it, in this process and in the cluster.
  #takeSlot(attempt: HandshakeAttempt, identity: ConnectionIdentity): void {
    const { clock, resume, factory } = this.host;
    const { request } = this.upgrade;
    const context = UserExecutionContext.fromHttpRequest(request, identity);
    assertNotExpired(context, clock.epoch());
    resume?.assertOwn(context, request);
    const arrived = (manager: WebSocketManager): void => this.#openScope(attempt, manager);
    attempt.wait(factory.arrive(context), arrived, { tooLate: abandon });
  }

  // Step 6: makes the connection's own instances of scoped providers.
  #openScope(attempt: HandshakeAttempt, manager: WebSocketManager): void {
    attempt.manager = manager;
    const { server, upgrade } = this;
    const { keepHeaders } = this.host.options.handshake;
    const { context } = manager;
    const failed = (error: unknown): HandshakeRefused =>
      new HandshakeRefused('scope-failed', { error, userId: context.userId });
    const open = (): Promise<void> | undefined => {
      const value = ConnectionRequest.from(context, upgrade.request, server.path, keepHeaders);
      this.#scope = new ConnectionScope(server.scopeBlueprint, value);
      const prepared = new PreparedScope(this.#scope, manager, server.path);
      manager.useHooks(prepared);
      return prepared.open();
    };
    attempt.ask(open, () => attempt.admit(manager), failed);
  }

  #handshakeEnded(outcome: HandshakeOutcome): void {
    if (this.#traced) endTrace(this.#traced, outcome);
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
      if (manager.isActive) this.#connect(manager, client);
      else this.#dismiss(client);
    };
    try {
      this.server.webSocketServer.handleUpgrade(request, socket, head, upgraded);
      // `ws` itself responds to a malformed upgrade request.
      if (!isUpgraded) socket.once('close', abandonUpgrade);
    } catch (error) {
      // `handleProtocols` is code of the app and may throw, since its input comes from the client.
      abandonUpgrade();
      const { userId } = manager.context;
      const { refusal } = new HandshakeRefused('scope-failed', { error, userId });
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
    this.#recordOpened(manager);
    try {
      const instances = server.gateways.map((gateway) => gateway.instanceIn(scope));
      const { connections } = this.host;
      const connection = new Connection(connections, server, manager, scope, instances, client);
      // For plain gateways on the same path, and for listeners of the app.
      server.webSocketServer.emit('connection', client, request);
      connection.open(request);
    } catch (error) {
      const subject = subjectOf(manager.context);
      this.host.journal.record('hook-failed', { subject, hook: 'connection', error });
      void manager.close(CloseCode.SERVER_ERROR, 'server error');
    }
  }

  #recordOpened({ context }: WebSocketManager): void {
    const { journal, clock } = this.host;
    if (!journal.isHeard('connection-opened')) return;
    const handshakeMs = clock.now() - this.upgrade.startedAt;
    const { path } = this.server;
    journal.record('connection-opened', { subject: subjectOf(context), path, handshakeMs });
  }

  // Closes the socket of a connection that has ended while `ws` wrote the 101.
  #dismiss(client: WebSocket): void {
    const { clock, options } = this.host;
    dismiss(client, CloseCode.GOING_AWAY, '', clock, options.cleanup.closeTimeoutMs);
  }
}

function endTrace(traced: TracedHandshake, outcome: HandshakeOutcome): void {
  if (outcome === 'gone') traced.gone();
  else if ('refusal' in outcome) traced.refused(outcome.refusal.reason, outcome.refusal.status);
  else traced.admitted(outcome.manager);
}
