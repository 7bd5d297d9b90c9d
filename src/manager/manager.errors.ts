import { IsolationError } from '../errors/isolation-error.js';

/** All slots are in use by active connections. */
export class ManagerLimitError extends IsolationError {
  declare readonly code: 'MANAGER_LIMIT';

  constructor(
    readonly userId: string,
    readonly limit: number,
    /** Milliseconds after which a retry may succeed. */
    readonly retryAfterMs: number,
    /** Which limit was reached: the user's or the process's. */
    readonly scope: 'user' | 'process' = 'user',
  ) {
    const whose = scope === 'user' ? 'This user has' : 'This process has';
    super(
      'MANAGER_LIMIT',
      `${whose} reached the maximum number of WebSocket managers (${limit}), and all of them are in use. ` +
        `Close one, try again in ${retryAfterMs} ms, or raise limits.${scope === 'user' ? 'maxManagersPerUser' : 'maxManagers'}.`,
    );
  }
}

/** The cluster is away, and `onUnavailable` is `'closed'`: connections are refused meanwhile. */
export class ClusterUnavailableError extends IsolationError {
  constructor(
    /** Milliseconds after which a retry may succeed. */
    readonly retryAfterMs: number,
  ) {
    super(
      'CLUSTER_UNAVAILABLE',
      "The cluster that counts the connections of all nodes is away, and onUnavailable is 'closed'. " +
        `Try again in ${retryAfterMs} ms; to admit connections meanwhile, set onUnavailable to 'local'.`,
    );
  }
}

/** An operation was called on a manager whose connection is closing or closed. */
export class ManagerClosedError extends IsolationError {
  constructor(readonly operation: string) {
    super(
      'MANAGER_CLOSED',
      `${operation} is not possible: the connection is closed or closing. ` +
        'Stop the work when manager.signal is aborted, or check manager.isActive first.',
    );
  }
}

/** One user's context or socket was used for another user's connection. */
export class IsolationViolationError extends IsolationError {
  constructor(what: string) {
    super(
      'ISOLATION_VIOLATION',
      `${what}. Make one context per connection with UserExecutionContext.fromWebSocketRequest() and give each socket to one manager.`,
    );
  }
}

/** The old global accessor was called. */
export class SingletonAccessError extends IsolationError {
  constructor() {
    super(
      'SINGLETON_ACCESS',
      'getWebSocketManager() always throws: one global manager would mix the connections of all users. ' +
        'Inject WebSocketManager (the connection’s own), WebSocketEmitter (to reach a user or a thread), ' +
        'or WebSocketManagerFactory (to look connections up).',
    );
  }
}

/** The operating system did not accept a message in time. */
export class SendTimeoutError extends IsolationError {
  constructor(readonly timeoutMs: number) {
    super(
      'SEND_TIMEOUT',
      `The message was not sent within ${timeoutMs} ms: the reader is too slow. ` +
        'Send less, or raise outbound.sendTimeoutMs.',
    );
  }
}

/** A message could not be sent at all. */
export class SendFailedError extends IsolationError {
  constructor(
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(
      'SEND_FAILED',
      `The message was not sent: ${reason}. Nothing reached the client.`,
      options,
    );
  }
}
