import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { WebSocket } from 'ws';

import { type Clock, CLOCK } from '../clock/clock.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { HandshakeRefused, type Refusal, type RefusalReason } from '../handshake/refusal.js';
import { Journal } from '../journal/journal.js';
import { CloseCode } from '../manager/close-codes.js';
import type { ConnectionHooks } from '../manager/manager-host.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import { NestInternals, REQUEST_CONTEXT_ID } from '../nest/nest-internals.js';
import { ConnectionRequest } from '../scope/connection-request.js';
import { ConnectionScope, type ScopeHost } from '../scope/connection-scope.js';
import { adapterOf, unattachedGateways } from './boot-check.js';
import { Connection, listen } from './connection.js';
import type { ConnectionHost } from './connection-host.js';
import { GatewayDefinition, type GatewayInstance } from './gateway-definition.js';
import type { Endpoint, IsolatedWsAdapter } from './isolated-ws.adapter.js';
import { IsolatedServer } from './isolated-server.js';
import { refuseWithClose, refuseWithHttp, type Upgrade } from './refusals.js';
import { TrafficCounters } from './traffic-counters.js';

/** What a handshake has prepared for a connection. */
interface Prepared {
  readonly scope: ConnectionScope;
  readonly instances: readonly GatewayInstance[];
}

/** Takes a scope down whose connection never came to be. */
class PreparedScope implements ConnectionHooks {
  constructor(private readonly scope: ConnectionScope) {}

  closing(): void {
    // Nothing runs yet.
  }

  async disconnected(): Promise<void> {
    // There was no connection.
  }

  released(): Promise<void> {
    return this.scope.dispose(() => undefined);
  }
}

/** Brings upgrades to isolated gateways: handshake, scope, socket, connection. */
@Injectable()
export class GatewayRuntime implements OnModuleInit {
  readonly #logger = new Logger('WebSocketIsolation');
  readonly #servers = new Map<Endpoint, IsolatedServer>();
  readonly #refusals = new Map<RefusalReason, number>();
  readonly #scopeHost: ScopeHost;
  #connectionHost: ConnectionHost | undefined;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly internals: NestInternals,
    private readonly handshake: HandshakeService,
    private readonly journal: Journal,
    private readonly tracker: ThreadConsistencyTracker,
    private readonly traffic: TrafficCounters,
    private readonly httpAdapterHost: HttpAdapterHost,
    moduleRef: ModuleRef,
  ) {
    const { disposeTimeoutMs } = options.cleanup;
    this.#scopeHost = { moduleRef, internals, clock, disposeTimeoutMs };
  }

  /** Handshakes refused since the start, by reason. */
  get refusals(): ReadonlyMap<RefusalReason, number> {
    return this.#refusals;
  }

  /** The paths of isolated gateways. */
  get paths(): readonly string[] {
    return [...this.#servers.values()].map(({ path }) => path);
  }

  onModuleInit(): void {
    const adapter = adapterOf(this.internals);
    this.#serve(adapter);
    // Without an HTTP adapter there are no gateways: a standalone application, or a module under test.
    if (this.httpAdapterHost.httpAdapter) this.#assertAttached(adapter);
  }

  #serve(adapter: IsolatedWsAdapter): void {
    const { options, clock, journal, tracker, traffic } = this;
    const parse: ConnectionHost['parse'] = (frame) => adapter.parser(frame);
    this.#connectionHost = { options, clock, journal, tracker, traffic, parse };
    for (const endpoint of adapter.isolatedEndpoints) {
      const { webSocketServer, path = '*', hasOwnPayloadLimit } = endpoint;
      if (!hasOwnPayloadLimit) {
        webSocketServer.options.maxPayload = options.inbound.maxPayloadBytes;
      }
      const gateways = endpoint.gateways.map((gateway) => this.#define(gateway, webSocketServer));
      this.#servers.set(endpoint, new IsolatedServer(webSocketServer, path, gateways));
    }
    adapter.serve((endpoint, request, socket, head) => {
      this.#accept(this.#servers.get(endpoint)!, { request, socket, head }).catch(
        (error: unknown) => {
          this.#logger.error('An upgrade failed unexpectedly; its socket is destroyed.', error);
          socket.destroy();
        },
      );
    });
  }

  #define(gateway: object, server: unknown): GatewayDefinition {
    return new GatewayDefinition(this.internals, this.internals.findProvider(gateway)!, server);
  }

  #assertAttached(adapter: IsolatedWsAdapter): void {
    const attached = adapter.isolatedEndpoints.flatMap(({ gateways }) => gateways);
    const missing = unattachedGateways(this.internals, attached);
    if (missing) throw missing;
  }

  async #accept(server: IsolatedServer, upgrade: Upgrade): Promise<void> {
    let prepared: Prepared | undefined;
    const outcome = await this.handshake.run(upgrade.request, upgrade.socket, async (manager) => {
      prepared = await this.#prepare(server, manager, upgrade);
    });
    if (outcome === 'gone') return;
    if ('refusal' in outcome) {
      this.#refuse(server, upgrade, outcome.refusal);
      return;
    }
    const { manager } = outcome;
    if (manager.isActive) this.#open(server, upgrade, manager, prepared!);
    else this.#refuse(server, upgrade, new HandshakeRefused('draining').refusal);
  }

  async #prepare(
    server: IsolatedServer,
    manager: WebSocketManager,
    { request }: Upgrade,
  ): Promise<Prepared> {
    const { keepHeaders } = this.options.handshake;
    const value = ConnectionRequest.from(manager.context, request, server.path, keepHeaders);
    const scope = new ConnectionScope(this.#scopeHost, value);
    manager.hooks = new PreparedScope(scope);
    const instances: GatewayInstance[] = [];
    for (const gateway of server.gateways) instances.push(await gateway.instanceIn(scope));
    // Given up meanwhile: what was made after that has to go too.
    if (!manager.isActive) await scope.dispose(() => undefined);
    return { scope, instances };
  }

  #open(
    server: IsolatedServer,
    { request, socket, head }: Upgrade,
    manager: WebSocketManager,
    { scope, instances }: Prepared,
  ): void {
    const abandon = (): void =>
      void manager.beginClose(CloseCode.ABNORMAL, 'upgrade failed', 'network');
    if (socket.destroyed) {
      abandon();
      return;
    }
    // `ws` answers a malformed upgrade by itself and never calls back.
    socket.once('close', abandon);
    server.webSocketServer.handleUpgrade(request, socket, head, (client) => {
      socket.off('close', abandon);
      if (!manager.isActive) {
        client.close(CloseCode.GOING_AWAY);
        return;
      }
      this.#connect(server, client, manager, scope, instances, request);
    });
  }

  #connect(
    server: IsolatedServer,
    client: WebSocket,
    manager: WebSocketManager,
    scope: ConnectionScope,
    instances: readonly GatewayInstance[],
    request: Upgrade['request'],
  ): void {
    // Bound for good: whatever runs late finds this scope again and never makes a new one.
    Object.defineProperty(client, REQUEST_CONTEXT_ID, { value: scope.contextId });
    manager.attach(client);
    const host = this.#connectionHost!;
    const connection = new Connection(host, server, manager, scope, instances, client);
    listen(connection);
    try {
      // For plain gateways on the same path, and for listeners of the app.
      server.webSocketServer.emit('connection', client, request);
    } catch (error) {
      this.#logger.error('A listener for connections threw.', error);
      void manager.close(CloseCode.SERVER_ERROR, 'server error');
      return;
    }
    connection.open(request);
  }

  #refuse(server: IsolatedServer, upgrade: Upgrade, refusal: Refusal): void {
    const { reason, status, code, userId, error } = refusal;
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
    const { path } = server;
    const details = { reason, status, code, path, ...(userId !== undefined && { userId }) };
    this.journal.record('connection-refused', {
      ...details,
      ...(error !== undefined && { error }),
    });
    if (upgrade.socket.destroyed) return;
    if (this.options.handshake.rejectWith === 'http') refuseWithHttp(upgrade, refusal);
    else {
      const { closeTimeoutMs } = this.options.cleanup;
      refuseWithClose(upgrade, refusal, server.webSocketServer, this.clock, closeTimeoutMs);
    }
  }
}
