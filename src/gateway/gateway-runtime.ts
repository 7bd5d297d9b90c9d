import { Inject, Injectable, Logger, type OnModuleInit, Optional } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { WebSocket } from 'ws';

import { type Clock, CLOCK } from '../clock/clock.js';
import { CloseCode } from '../closing/close-codes.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/user-execution-context.js';
import { withoutCredentials } from '../handshake/credentials.js';
import type { HandshakeOutcome } from '../handshake/handshake-attempt.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import {
  HandshakeRefused,
  type Refusal,
  type RefusalReason,
  starting,
} from '../handshake/refusal.js';
import { Journal, subjectOf } from '../journal/journal.js';
import { ByteBudget } from '../manager/byte-budget.js';
import type { ConnectionHooks } from '../manager/manager-host.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import type { TracedHandshake } from '../monitoring/tracer.js';
import { Tracing } from '../monitoring/tracing.js';
import { NestInternals } from '../nest/nest-internals.js';
import { Resume } from '../resume/resume.service.js';
import { ConnectionRequest } from '../scope/connection-request.js';
import { ConnectionScope, ScopeHost } from '../scope/connection-scope.js';
import {
  adapterOf,
  assertNoDurableIdentity,
  unattachedGateways,
  unprovidedGateways,
} from './boot-check.js';
import type { ConnectionHost } from './connection-host.js';
import { Connection } from './connection.js';
import { GatewayDefinition } from './gateway-definition.js';
import { IsolatedServer } from './isolated-server.js';
import type { Endpoint, IsolatedWsAdapter } from './isolated-ws.adapter.js';
import { dismiss, refuseWithClose, refuseWithHttp, type Upgrade } from './refusals.js';
import { isolateServer } from './server-options.js';
import { TrafficCounters } from './traffic-counters.js';
import { UserRates } from './user-rates.js';

/** Takes a scope down whose connection never came to be. */
class PreparedScope implements ConnectionHooks {
  constructor(
    private readonly scope: ConnectionScope,
    private readonly manager: WebSocketManager,
    readonly path: string,
  ) {}

  closing(): void {
    // Nothing runs yet.
  }

  received(): void {
    // There is no socket yet.
  }

  ignored(): void {
    // There is no socket yet.
  }

  disconnected(): undefined {
    return undefined;
  }

  released(): Promise<void> | undefined {
    return this.scope.dispose((dispose, name) =>
      this.manager.runStep(`dispose ${name}`, dispose, ignoreFault),
    );
  }
}

function ignoreFault(): void {
  // The handshake has failed already, and said why.
}

// A process that counts for itself has nothing to lose.
const NO_LEASES: ConnectionHost['leases'] = {
  freshUntil: Number.POSITIVE_INFINITY,
  hold: (held) => held.resume(),
};

/** Brings upgrades to isolated gateways: handshake, scope, socket, connection. */
@Injectable()
export class GatewayRuntime implements OnModuleInit {
  readonly #servers = new Map<Endpoint, IsolatedServer>();
  readonly #refusals = new Map<RefusalReason, number>();
  #connectionHost: ConnectionHost | undefined;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly internals: NestInternals,
    private readonly handshake: HandshakeService,
    private readonly journal: Journal,
    private readonly tracing: Tracing,
    private readonly tracker: ThreadConsistencyTracker,
    private readonly traffic: TrafficCounters,
    private readonly rates: UserRates,
    private readonly httpAdapterHost: HttpAdapterHost,
    private readonly moduleRef: ModuleRef,
    @Optional() @Inject(CLUSTER) private readonly cluster?: Cluster,
    @Optional() @Inject(Resume) private readonly resume?: Resume,
  ) {}

  /** Handshakes refused since the start, by reason. */
  get refusals(): ReadonlyMap<RefusalReason, number> {
    return this.#refusals;
  }

  /** The paths of isolated gateways. */
  get paths(): readonly string[] {
    return [...this.#servers.values()].map(({ path }) => path);
  }

  async onModuleInit(): Promise<void> {
    const adapter = adapterOf(this.internals);
    assertNoDurableIdentity(this.internals);
    await this.#serve(adapter);
    // A standalone application and a module under test have no gateways.
    const isServer = this.httpAdapterHost.httpAdapter || adapter.hasEndpoints;
    if (isServer) this.#assertAttached(adapter);
  }

  async #serve(adapter: IsolatedWsAdapter): Promise<void> {
    const { options, clock, journal, tracing, tracker, traffic, rates, resume } = this;
    const parse: ConnectionHost['parse'] = (frame, context) =>
      adapter.hasOwnParser
        ? runInContext(new ConnectionCode(context), (given) => adapter.parser(given), frame)
        : adapter.parser(frame);
    const handled = journal.topic('message-handled');
    const leases = this.cluster?.slots ?? NO_LEASES;
    const pending = new ByteBudget(options.inbound.maxPendingBytesTotal);
    const shared = { options, clock, journal, handled, tracing, tracker, traffic, rates };
    this.#connectionHost = { ...shared, parse, pending, leases, resume };
    // A microservice may tell of its start twice, the first time before it has gateways.
    const endpoints = adapter.isolatedEndpoints.filter((endpoint) => !this.#servers.has(endpoint));
    for (const endpoint of endpoints) {
      const { webSocketServer, path = '*', given } = endpoint;
      const verify = isolateServer(webSocketServer, given, options);
      const gateways = endpoint.gateways.map((gateway) => this.#define(gateway, webSocketServer));
      for (const gateway of gateways) await gateway.prepare();
      const scopeHost = this.#scopeHostOf(gateways);
      const parts = [webSocketServer, path, gateways, scopeHost, verify] as const;
      this.#servers.set(endpoint, new IsolatedServer(...parts));
    }
    adapter.serve((endpoint, request, socket, head) => {
      const startedAt = clock.now();
      const server = this.#servers.get(endpoint);
      if (server) this.#accept(server, { request, socket, head, startedAt });
      else refuseWithHttp({ socket }, starting().refusal);
    });
  }

  #scopeHostOf(gateways: readonly GatewayDefinition[]): ScopeHost {
    const scoped = gateways.filter(({ isStatic }) => !isStatic);
    return new ScopeHost(
      this.moduleRef,
      this.internals,
      scoped.map(({ wrapper }) => wrapper),
      gateways.map(({ enhancers }) => enhancers).filter(({ areScoped }) => areScoped),
    );
  }

  #define(gateway: object, server: unknown): GatewayDefinition {
    return new GatewayDefinition(this.internals, this.internals.findProvider(gateway)!, server);
  }

  #assertAttached(adapter: IsolatedWsAdapter): void {
    const attached = adapter.isolatedEndpoints.flatMap(({ gateways }) => gateways);
    const missing = unattachedGateways(this.internals, attached);
    if (missing) throw missing;
    for (const name of unprovidedGateways(this.internals)) {
      new Logger('WebSocketIsolation').warn(
        `${name} has @IsolatedGateway(), but is in no \`providers\` of this application: nobody can connect to it. ` +
          `Write providers: [${name}] in a module of the application.`,
      );
    }
  }

  #accept(server: IsolatedServer, upgrade: Upgrade): void {
    let scope: ConnectionScope | undefined;
    const prepare = (manager: WebSocketManager): Promise<void> | undefined => {
      scope = this.#openScope(server, manager, upgrade);
      const pending = scope.open();
      return pending && this.#giveUpLate(pending, manager, scope);
    };
    const { request, socket } = upgrade;
    const done = (outcome: HandshakeOutcome): void => {
      if (outcome === 'gone') return;
      if ('refusal' in outcome) this.#refuse(server, upgrade, outcome.refusal);
      else this.#open(server, upgrade, outcome.manager, scope!);
    };
    const traced = this.tracing.tracer?.handshake(request, server.path);
    if (!traced) return this.handshake.run(request, socket, prepare, done, server.verify);
    const tracedDone = (outcome: HandshakeOutcome): void => {
      endTrace(traced, outcome);
      done(outcome);
    };
    traced.run(() => this.handshake.run(request, socket, prepare, tracedDone, server.verify));
  }

  #openScope(
    server: IsolatedServer,
    manager: WebSocketManager,
    { request }: Upgrade,
  ): ConnectionScope {
    const { keepHeaders } = this.options.handshake;
    const value = ConnectionRequest.from(manager.context, request, server.path, keepHeaders);
    const scope = new ConnectionScope(server.scopeHost, value);
    manager.hooks = new PreparedScope(scope, manager, server.path);
    return scope;
  }

  // The handshake may be over before the scope is: what was made after that has to go too.
  async #giveUpLate(
    pending: Promise<void>,
    manager: WebSocketManager,
    scope: ConnectionScope,
  ): Promise<void> {
    await pending;
    if (manager.isActive) return;
    await scope.dispose((dispose, name) =>
      manager.runStep(`dispose ${name}`, dispose, ignoreFault),
    );
  }

  #open(
    server: IsolatedServer,
    upgrade: Upgrade,
    manager: WebSocketManager,
    scope: ConnectionScope,
  ): void {
    const { request, socket, head, startedAt } = upgrade;
    const abandonUpgrade = (): void =>
      void manager.beginClose(CloseCode.ABNORMAL, 'upgrade failed', 'network');
    if (socket.destroyed) {
      abandonUpgrade();
      return;
    }
    let isUpgraded = false;
    const upgraded = (client: WebSocket): void => {
      isUpgraded = true;
      socket.off('close', abandonUpgrade);
      if (manager.isActive) this.#connect(server, client, manager, scope, request, startedAt);
      else dismiss(client, CloseCode.GOING_AWAY, '', this.clock, this.#closeTimeoutMs);
    };
    try {
      server.webSocketServer.handleUpgrade(request, socket, head, upgraded);
      // To a malformed upgrade `ws` answers by itself.
      if (!isUpgraded) socket.once('close', abandonUpgrade);
    } catch (error) {
      // `handleProtocols` and its like are the app's, and what they are given is the client's.
      abandonUpgrade();
      const { userId } = manager.context;
      const { refusal } = new HandshakeRefused('scope-failed', { error, userId });
      this.#refuse(server, upgrade, refusal, 'http');
    }
  }

  #connect(
    server: IsolatedServer,
    client: WebSocket,
    manager: WebSocketManager,
    scope: ConnectionScope,
    request: Upgrade['request'],
    startedAt: number,
  ): void {
    scope.bind(client);
    manager.attach(client);
    this.#opened(manager, server, startedAt);
    try {
      const instances = server.gateways.map((gateway) => gateway.instanceIn(scope));
      const host = this.#connectionHost!;
      const connection = new Connection(host, server, manager, scope, instances, client);
      // For plain gateways on the same path, and for listeners of the app.
      server.webSocketServer.emit('connection', client, request);
      connection.open(request);
    } catch (error) {
      const subject = subjectOf(manager.context);
      this.journal.record('hook-failed', { subject, hook: 'connection', error });
      void manager.close(CloseCode.SERVER_ERROR, 'server error');
    }
  }

  #opened({ context }: WebSocketManager, { path }: IsolatedServer, startedAt: number): void {
    const { journal, clock } = this;
    if (!journal.isHeard('connection-opened')) return;
    const handshakeMs = clock.now() - startedAt;
    journal.record('connection-opened', { subject: subjectOf(context), path, handshakeMs });
  }

  get #closeTimeoutMs(): number {
    return this.options.cleanup.closeTimeoutMs;
  }

  #refuse(
    server: IsolatedServer,
    upgrade: Upgrade,
    refusal: Refusal,
    rejectWith = this.options.handshake.rejectWith,
  ): void {
    const { reason, status, code, userId, error } = refusal;
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
    if (this.journal.isHeard('connection-refused')) {
      this.journal.record('connection-refused', {
        reason,
        status,
        code,
        path: server.path,
        handshakeMs: this.clock.now() - upgrade.startedAt,
        ...(userId !== undefined && { userId }),
        ...(error !== undefined && { error: withoutCredentials(error, upgrade.request) }),
      });
    }
    if (upgrade.socket.destroyed) return;
    if (rejectWith === 'http') refuseWithHttp(upgrade, refusal);
    else {
      refuseWithClose(upgrade, refusal, server.webSocketServer, this.clock, this.#closeTimeoutMs);
    }
  }
}

function endTrace(traced: TracedHandshake, outcome: HandshakeOutcome): void {
  if (outcome === 'gone') traced.gone();
  else if ('refusal' in outcome) traced.refused(outcome.refusal.reason, outcome.refusal.status);
  else traced.admitted(outcome.manager);
}
