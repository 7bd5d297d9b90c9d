export {
  ClientAddresses,
  type ForwardedFault,
  type RequestOrigin,
} from './address/client-addresses.js';
export { type TrustProxy } from './address/trusted-proxies.js';
export { CLOCK, type Clock, type Release, systemClock } from './time/clock.js';
export { CloseCode, type CloseInitiator, type CloseReason } from './wire/close-codes.js';
export { type ClusterTarget, type ConnectionInfo } from './cluster/cluster-delivery.js';
export {
  type ClusterLease,
  type ClusterSlots,
  type HeldTraffic,
  type IdleConnection,
  type LeaseAnswer,
  type LeaseLoss,
  type SlotHolder,
} from './cluster/cluster-slots.js';
export {
  type ClusterFailure,
  type ClusterNode,
  type ClusterStatus,
} from './cluster/cluster-status.js';
export {
  type Cluster,
  type ClusterDefinition,
  type ClusterServices,
  type ClusterJournal,
} from './cluster/cluster.js';
export { websocketIsolationConfig } from './config/isolation.config.js';
export {
  type AuthenticateFunction,
  type ConnectionAuthenticator,
  type HandshakeRequest,
  type PathParams,
  type WebSocketIsolationOptions,
  type WebSocketIsolationOptionsFactory,
} from './config/isolation.options.js';
export type { HandshakeOptions } from './config/handshake-options.js';
export {
  type CleanupOptions,
  type HeartbeatOptions,
  type LeaksOptions,
  type LimitsOptions,
  type OutboundOptions,
  type ResumeOptions,
  type ShutdownOptions,
} from './config/option-groups.js';
export {
  type AuthorizeTopicFunction,
  type TopicAuthorizer,
  type TopicGrant,
  type TopicHistoryOptions,
  type TopicsOptions,
} from './config/topics-options.js';
export { type AddressLimits, type AdmissionOptions } from './config/admission-options.js';
export { type InboundOptions, type RateOptions } from './config/inbound-options.js';
export { type OriginPolicy } from './config/option-rules.js';
export { InvalidOptionsError, type OptionFault } from './config/option-faults.js';
export {
  type ContextFault,
  InvalidContextError,
  NoActiveContextError,
} from './context/context.errors.js';
export { IsolationError } from './errors/isolation-error.js';
export { type ConnectionIdentity, type RequestLike } from './context/connection-identity.js';
export { UserExecutionContext } from './context/user-execution-context.js';
export {
  type AskingAudience,
  type Audience,
  type ClusterDeliveryReport,
  type CriticalAudience,
  type SharedAudience,
  type ThreadAudience,
} from './delivery/audience.js';
export { WebSocketEmitter } from './delivery/websocket.emitter.js';
export { CurrentContext, CurrentManager, MessageSignal } from './handlers/connection-parameters.js';
export { SubscribeBinary } from './handlers/subscribe-binary.decorator.js';
export { type ExceptionReply } from './handlers/exception-reply.js';
export {
  IsolatedGateway,
  type IsolatedGatewayOptions,
} from './upgrade/isolated-gateway.decorator.js';
export { IsolatedWsAdapter, type IsolatedWsAdapterOptions } from './upgrade/isolated-ws.adapter.js';
export { type Codec } from './wire/codecs.js';
export { type InboundMessage, type MessageParser } from './wire/message-parser.js';
export { type DeliveryReport } from './wire/delivery-result.js';
export {
  type AnyIsolationEventListener,
  IsolationEventBus,
  type IsolationEventListener,
} from './journal/event-bus.js';
export { ISOLATION_EVENT_NAMES } from './journal/event-levels.js';
export {
  type AskOutcome,
  type CleanupReport,
  type ClusterState,
  type EventSubject,
  type HandlerOutcome,
  type IsolationEventName,
  type IsolationEvents,
  type RemovalCause,
  type RenewalRefusal,
  type StreamOutcome,
  type TopicLeaveCause,
  type TopicRefusal,
} from './journal/isolation-events.js';
export { type DeliveryResult, type DropReason } from './wire/delivery-result.js';
export { type FramePolicy, type SendOptions, type SendPolicy } from './wire/send-policy.js';
export { type DisconnectOptions, type DisconnectReport } from './manager/cluster-connections.js';
export { type FactoryStats } from './manager/factory-stats.js';
export { getWebSocketManager } from './manager/get-web-socket-manager.js';
export { type ManagedSocket, type SocketListener } from './wire/managed-socket.js';
export { type Ledger } from './manager/manager-registry.js';
export { type ManagerStats } from './manager/manager-stats.js';
export {
  ClusterUnavailableError,
  IsolationViolationError,
  ManagerClosedError,
  ManagerLimitError,
  SendFailedError,
  SendTimeoutError,
  SingletonAccessError,
} from './manager/manager.errors.js';
export { WebSocketManagerFactory } from './manager/web-socket-manager.factory.js';
export { type Disposer } from './manager/disposers.js';
export { type ManagerState, WebSocketManager } from './manager/web-socket-manager.js';
export { WebSocketIsolationModule } from './module/websocket-isolation.module.js';
export {
  type LeakCause,
  LeakDetector,
  type LeakReport,
  type LeakSuspect,
} from './monitoring/leak.detector.js';
export {
  type ThreadConsistencyReport,
  ThreadConsistencyTracker,
  type ThreadSnapshot,
  type ThreadViolation,
} from './monitoring/thread-consistency.tracker.js';
export { type ResumeStatus } from './resume/history-reader.js';
export {
  AskLimitError,
  AskRejectedError,
  AskTimeoutError,
  NoReceiverError,
} from './manager/ask.errors.js';
export { type AskOptions } from './manager/asking.js';
export { type OpenWork } from './manager/asks.js';
export { type JoinOptions } from './manager/topic-member.js';
export { type Excepted } from './history/event-history.js';
export { type PresenceMember } from './topics/member-list.js';
export { TopicPresence } from './topics/topic-presence.js';
export { InvalidTopicError, TopicLimitError } from './topics/topic.errors.js';
export { ConnectionRequest } from './scope/connection-request.js';
export { disposeWithConnection } from './scope/dispose-with-connection.js';
