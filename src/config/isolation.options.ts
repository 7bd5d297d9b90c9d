import type { IncomingMessage } from 'node:http';

import type { Type } from '@nestjs/common';

import type { Clock } from '../time/clock.js';
import type { Codec } from '../wire/codecs.js';
import type { ClusterDefinition } from '../cluster/cluster.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import type { AdmissionOptions } from './admission-options.js';
import type { HandshakeOptions } from './handshake-options.js';
import type {
  CleanupOptions,
  HeartbeatOptions,
  LeaksOptions,
  LimitsOptions,
  OutboundOptions,
  ResumeOptions,
  ShutdownOptions,
} from './option-groups.js';
import type { InboundOptions, RateOptions } from './inbound-options.js';
import type { TopicHistoryOptions, TopicsOptions } from './topics-options.js';

/** The parameters of a path, by name, with their values. Frozen. */
export type PathParams = Readonly<Record<string, string>>;

/** A request whose sender is identified: the upgrade request of a connection, or an HTTP request. */
export interface HandshakeRequest extends IncomingMessage {
  /**
   * The parameters of the path: `{ room: '42' }` for a client of `/room/42` at a gateway with the path `/room/:room`;
   * empty without parameters. For an HTTP request, those of its route.
   */
  readonly params: PathParams;
}

/** Authenticates connections. Also used for HTTP requests, so that both have the same identity. */
export interface ConnectionAuthenticator {
  /**
   * @param request the upgrade request (or HTTP request); do not keep it
   * @param signal aborted when the handshake's deadline has passed or the client has disconnected
   * @returns the identity, or `null` for an unknown user (401); or a promise of either
   * @throws a Nest `HttpException` to refuse with its status; any other error is a 500 and is logged
   */
  authenticate(
    request: HandshakeRequest,
    signal: AbortSignal,
  ): ConnectionIdentity | null | Promise<ConnectionIdentity | null>;

  /**
   * Renews the identity of an open connection: called when its client sends `{"event": "renew", "data": credentials}`.
   * Without this method, `renew` is an event like any other. An identity of another user or thread closes the
   * connection with 4403. A `threadId` that is left out is that of the connection; a `runId` is ignored.
   *
   * @param context of the connection, with the metadata and the expiry that it has now
   * @param credentials what the client has sent: check its type
   * @param signal aborted after `handshake.timeoutMs`, and when the connection closes
   * @returns the new identity, or `null` to close the connection with 4401; or a promise of either
   * @throws a Nest `HttpException` of 401 or 403 to close with 4401 or 4403. After any other error the client gets an
   *   `exception`, and keeps the identity that it has until that expires
   */
  renew?(
    context: UserExecutionContext,
    credentials: unknown,
    signal: AbortSignal,
  ): ConnectionIdentity | null | Promise<ConnectionIdentity | null>;
}

/** An authenticator as a function. */
export type AuthenticateFunction = ConnectionAuthenticator['authenticate'];

/** The option groups with every default filled in. */
export interface OptionGroups {
  readonly limits: LimitsOptions;
  readonly cleanup: CleanupOptions;
  readonly handshake: HandshakeOptions;
  readonly inbound: InboundOptions;
  readonly outbound: OutboundOptions;
  readonly heartbeat: HeartbeatOptions;
  readonly shutdown: ShutdownOptions;
  readonly topics: TopicsOptions;
  readonly leaks: LeaksOptions;
}

type GroupsAsGiven = {
  [Group in Exclude<keyof OptionGroups, 'handshake' | 'inbound' | 'topics'>]?: Given<
    OptionGroups[Group]
  >;
};
type Given<Group> = { [Key in keyof Group]?: Group[Key] | undefined };

/** The options of `WebSocketIsolationModule.forRoot()`. Every option has a default. */
export interface WebSocketIsolationOptions extends GroupsAsGiven {
  /** A provider class of the app, or a function. Default: every connection is an anonymous user of its own. */
  authenticator?: Type<ConnectionAuthenticator> | AuthenticateFunction | undefined;
  /** Counts connections over all nodes, for example `redisCluster({ url })`. Default: every process counts its own. */
  cluster?: ClusterDefinition | undefined;
  /** The source of time, for tests. Default: the system clock. */
  clock?: Clock | undefined;
  /** Keeps the events of threads for clients that reconnect. Default: off; `{}` is on, with the defaults. */
  resume?: Given<ResumeOptions> | undefined;
  /** Other encodings than JSON, each for a subprotocol. Default: none. */
  codec?: Codec | readonly Codec[] | undefined;
  handshake?: Given<Omit<HandshakeOptions, 'admission'>> & {
    admission?: AdmissionOptions | undefined;
  };
  inbound?: Given<Omit<InboundOptions, 'rate'>> & { rate?: RateOptions | undefined };
  topics?: Given<Omit<TopicsOptions, 'history'>> & {
    history?: Given<TopicHistoryOptions> | undefined;
  };
}

/** The interface of a class for `useClass` or `useExisting` of `forRootAsync()`. */
export interface WebSocketIsolationOptionsFactory {
  createWebSocketIsolationOptions(): WebSocketIsolationOptions | Promise<WebSocketIsolationOptions>;
}

/** The options after defaults, environment and validation. Frozen. */
export interface ResolvedOptions extends OptionGroups {
  readonly authenticator: WebSocketIsolationOptions['authenticator'];
  readonly cluster: WebSocketIsolationOptions['cluster'];
  /** `undefined`: JSON only. */
  readonly codec: readonly Codec[] | undefined;
  /** `undefined`: off. */
  readonly resume: ResumeOptions | undefined;
}

/** Injection token of the {@link ResolvedOptions}. */
export const ISOLATION_OPTIONS: unique symbol = Symbol('websocket-isolation:options');
