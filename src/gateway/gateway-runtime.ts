import { Inject, Injectable, type OnModuleInit, Optional } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';

import { ClientAddresses } from '../address/client-addresses.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import type { AnyContract } from '../contract/contract.js';
import type { ConnectionServices } from '../connection/connection-services.js';
import { Renewals } from '../connection/renewals.js';
import { TrafficCounters } from '../connection/traffic-counters.js';
import { UserRates } from '../connection/user-rates.js';
import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import { GatewayDefinition } from '../handlers/gateway-definition.js';
import { IsolatedServer } from '../handlers/isolated-server.js';
import { Authentication } from '../handshake/authentication.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { type RefusalReason, starting } from '../handshake/refusal.js';
import { Journal } from '../journal/journal.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import { Tracing } from '../monitoring/tracing.js';
import { NestInternals } from '../nest/nest-internals.js';
import { decodeWith } from '../wire/codecs.js';
import type { MessageParser } from '../wire/message-parser.js';
import { TopicRequests } from '../topics/topic-requests.js';
import { Resume } from '../resume/resume.service.js';
import { ScopeBlueprint } from '../scope/connection-scope.js';
import { ByteBudget } from '../structures/byte-budget.js';
import { type Clock, CLOCK } from '../time/clock.js';
import {
  adapterOf,
  assertNoDurableIdentity,
  unattachedGateways,
  unprovidedGateways,
} from '../upgrade/boot-check.js';
import type { Endpoint } from '../upgrade/endpoint.js';
import type { IsolatedWsAdapter } from '../upgrade/isolated-ws.adapter.js';
import { PathPattern } from '../upgrade/path-pattern.js';
import { refuseWithHttp } from '../upgrade/refusal-response.js';
import { isolateServer } from '../upgrade/server-options.js';
import { Arrival, type ArrivalServices } from './arrival.js';
import { warnOfCopies, warnOfTaken, warnOfUnhandled, warnOfUnprovided } from './boot-warnings.js';
import { RefusedUpgrades } from './refused-upgrades.js';

// Without a cluster there is no lease that could have been lost.
const NO_LEASES: ConnectionServices['leases'] = {
  freshUntil: Number.POSITIVE_INFINITY,
  hold: (held) => held.resume(),
};

/**
 * Starts the isolated gateways when the application boots: checks their declarations, prepares their servers, and from
 * then on starts an {@link Arrival} for each upgrade request.
 */
@Injectable()
export class GatewayRuntime implements OnModuleInit {
  readonly #servers = new Map<Endpoint, IsolatedServer>();
  readonly #refused: RefusedUpgrades;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly internals: NestInternals,
    private readonly handshakes: HandshakeService,
    private readonly authentication: Authentication,
    private readonly factory: WebSocketManagerFactory,
    private readonly journal: Journal,
    private readonly tracing: Tracing,
    private readonly tracker: ThreadConsistencyTracker,
    private readonly traffic: TrafficCounters,
    private readonly rates: UserRates,
    private readonly topics: TopicRequests,
    private readonly addresses: ClientAddresses,
    private readonly httpAdapterHost: HttpAdapterHost,
    private readonly moduleRef: ModuleRef,
    @Optional() @Inject(CLUSTER) private readonly cluster?: Cluster,
    @Optional() @Inject(Resume) private readonly resume?: Resume,
  ) {
    this.#refused = new RefusedUpgrades(options, clock, journal, addresses);
  }

  /** Handshakes refused since the start, by reason. */
  get refusals(): ReadonlyMap<RefusalReason, number> {
    return this.#refused.counts;
  }

  /** Handshakes refused since the start, by path, reason, close code and class of the client's address. */
  get refused(): Pick<RefusedUpgrades, 'counts' | 'byPath' | 'byCode' | 'byAddressClass'> {
    return this.#refused;
  }

  /** The paths of isolated gateways. */
  get paths(): readonly string[] {
    return [...this.#servers.values()].map(({ path }) => path);
  }

  /** The contracts of isolated gateways, with their paths. */
  get contracts(): readonly { readonly path: string; readonly contract: AnyContract }[] {
    return [...this.#servers.values()].flatMap(({ path, contract: own }) =>
      [...(own?.contracts ?? [])].map((contract) => ({ path, contract })),
    );
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
    // In a microservice, Nest may call `onModuleInit` twice, the first time before there are gateways.
    const endpoints = adapter.isolatedEndpoints.filter((endpoint) => !this.#servers.has(endpoint));
    for (const endpoint of endpoints) {
      const { webSocketServer, path = '*', given } = endpoint;
      const verify = isolateServer(webSocketServer, given, this.options);
      const gateways = endpoint.gateways.map((gateway) => this.#define(gateway, webSocketServer));
      for (const gateway of gateways) await gateway.prepare();
      warnOfCopies(gateways);
      warnOfTaken(gateways, this.topics);
      const scopeBlueprint = this.#scopeBlueprintOf(gateways);
      const pattern = PathPattern.in(path);
      const parts = [webSocketServer, path, gateways, scopeBlueprint, verify, pattern] as const;
      const server = new IsolatedServer(...parts);
      warnOfUnhandled(server);
      this.#servers.set(endpoint, server);
    }
    const host = this.#arrivalServices(this.#connectionHost(adapter));
    adapter.useAcceptor((endpoint, request, socket, head) => {
      const startedAt = this.clock.now();
      const server = this.#servers.get(endpoint);
      if (server) new Arrival(host, server, { request, socket, head, startedAt }).start();
      else refuseWithHttp({ socket }, starting());
    });
  }

  #arrivalServices(connections: ConnectionServices): ArrivalServices {
    const { options, clock, journal, tracing, handshakes, authentication, factory, resume } = this;
    const parts = { options, clock, journal, tracing, handshakes, authentication, factory, resume };
    const { addresses } = this;
    return { ...parts, addresses, connections, refused: this.#refused };
  }

  #connectionHost(adapter: IsolatedWsAdapter): ConnectionServices {
    const { options, clock, journal, tracing, tracker, traffic, rates, resume, topics } = this;
    const parse: ConnectionServices['parse'] = (frame, context, codec) => {
      if (!codec && !adapter.hasOwnParser) return adapter.parser(frame);
      const read = (given: Buffer): ReturnType<MessageParser> =>
        codec ? decodeWith(codec, given) : adapter.parser(given);
      return runInContext(new ConnectionCode(context), read, frame);
    };
    const { codecs } = this.factory.bookkeeping;
    const handled = journal.topic('message-handled');
    const leases = this.cluster?.slots ?? NO_LEASES;
    const pending = new ByteBudget(options.inbound.maxPendingBytesTotal);
    const shared = { options, clock, journal, handled, tracing, tracker, traffic, rates, resume };
    return { ...shared, parse, codecs, pending, leases, topics, renewals: this.#renewals() };
  }

  #renewals(): Renewals | undefined {
    const { authentication, factory } = this;
    if (!authentication.canRenew) return undefined;
    return new Renewals(authentication, (context, what) => factory.violation(context, what));
  }

  #scopeBlueprintOf(gateways: readonly GatewayDefinition[]): ScopeBlueprint {
    const scoped = gateways.filter(({ isStatic }) => !isStatic);
    return new ScopeBlueprint(
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
    warnOfUnprovided(unprovidedGateways(this.internals));
  }
}
