import { getHeapStatistics } from 'node:v8';

import { IsNumber, IsOptional, Max, Min, ValidateNested } from 'class-validator';

import {
  atLeastOne,
  bytes,
  flag,
  IsOriginPolicy,
  IsStringList,
  LARGEST_FRAME_BYTES,
  millisecondsFrom,
  oneOf,
  type OriginPolicy,
} from './option-rules.js';

// The initial value of a property is its default; the decorators are its rule. Both stand here only.

/** How many managers (connections) there may be. */
export class LimitsOptions {
  /** Managers one user may hold, pending handshakes included. */
  @atLeastOne()
  maxManagersPerUser = 20;

  /** Managers this process may hold. */
  @atLeastOne()
  maxManagers = 10_000;

  /** From this share of `maxManagersPerUser` on, an arrival first removes the user's dead and stale managers. */
  @IsNumber({}, { message: 'must be a number' })
  @Min(0.01, { message: 'must be above 0' })
  @Max(1, { message: 'must not exceed 1' })
  proactiveThreshold = 0.6;

  /** What happens at the limit when nothing can be cleaned up: refuse, or close the least recently active one. */
  @oneOf('reject', 'evict-idle')
  overflow: 'reject' | 'evict-idle' = 'reject';
}

/** When managers are removed, how often that is looked at, and how long each step may take. */
export class CleanupOptions {
  /** Without traffic either way for this long, a manager is stale: removed when its user gets crowded. */
  @millisecondsFrom(1)
  staleAfterMs = 600_000;

  /** Without traffic for this long, a manager is removed whatever the load. 0 = never. */
  @millisecondsFrom(0)
  idleTimeoutMs = 1_800_000;

  /** A manager that got no socket within this time is removed. */
  @millisecondsFrom(1)
  unattachedAfterMs = 10_000;

  /** Period of the job `websocket-isolation:proactive-cleanup`. 30 000 in test, 120 000 in production. */
  @millisecondsFrom(1)
  proactiveIntervalMs = proactiveIntervalByEnvironment();

  /** Period of the job `websocket-isolation:emergency-cleanup`. */
  @millisecondsFrom(1)
  emergencyIntervalMs = 10_000;

  /** Deadline of one emergency cleanup. What is unfinished then is abandoned and reported. */
  @millisecondsFrom(1)
  emergencyTimeoutMs = 10_000;

  /** How long a ping may stay unanswered in an emergency. */
  @millisecondsFrom(1)
  probeTimeoutMs = 2_000;

  /** How long a client may take over the end, its close frame and hanging up, before the socket is cut. */
  @millisecondsFrom(1)
  closeTimeoutMs = 2_000;

  /** How long one disposer may take. */
  @millisecondsFrom(1)
  disposeTimeoutMs = 5_000;
}

/** What happens between the upgrade request and the open socket. */
export class HandshakeOptions {
  /** Origins that may connect: `'same-origin'`, a list of exact origins, `'*'`, or a function. */
  @IsOriginPolicy()
  allowedOrigins: OriginPolicy = 'same-origin';

  /**
   * Whether a request without an Origin header may connect (programs other than browsers send none).
   * Default: true, but false for a request that carries cookies.
   */
  @IsOptional()
  @flag()
  allowMissingOrigin: boolean | undefined = undefined;

  /** Absolute deadline of a handshake. */
  @millisecondsFrom(1)
  timeoutMs = 10_000;

  /** Handshakes that may be under way at once; further ones get 503. */
  @atLeastOne()
  maxPending = 1_000;

  /** Refuse with an HTTP status, or accept and send a close code, which a browser can read. */
  @oneOf('http', 'close')
  rejectWith: 'http' | 'close' = 'http';

  /**
   * What a subprotocol begins with that is a credential and no protocol, as in `new WebSocket(url, ['chat', token])`: it
   * is never answered with. Default: `['eyJ']`, as every JWT begins. Names above 32 characters count as credentials
   * always.
   */
  @IsStringList({ message: 'must be a list of prefixes' })
  credentialProtocols: readonly string[] = ['eyJ'];

  /** Names of the request headers to keep for `ConnectionRequest.headers`, in lower case. */
  @IsStringList({ message: 'must be a list of header names' })
  keepHeaders: readonly string[] = [];
}

/** A token bucket: so many messages per so many milliseconds. */
export class RateOptions {
  /** Messages per connection. */
  @atLeastOne()
  messages: number = Number.NaN;

  /** The time they are counted over. */
  @millisecondsFrom(1)
  perMs: number = Number.NaN;

  /** Messages over all connections of one user. Default: the same as `messages`. */
  @IsOptional()
  @atLeastOne()
  perUser?: number | undefined = undefined;
}

/** What clients may send. */
export class InboundOptions {
  /** The largest message; a larger one closes with 1009. */
  @bytes(LARGEST_FRAME_BYTES)
  maxPayloadBytes = 65_536;

  /** Handlers of one connection that may run at once. 1 = strictly one after another. */
  @atLeastOne()
  concurrency = 16;

  /** Bytes of messages that may wait for a handler; beyond, the connection closes with 1008. */
  @bytes()
  maxPendingBytes = 1_048_576;

  /**
   * Bytes of messages of all connections together that may wait for a handler in this process. From half of it on,
   * reading pauses early on the connections that hold most; beyond it they are closed with 1013. Default: 1/16 of the
   * heap limit of V8, since a parsed message may take ten times the memory of its text.
   */
  @bytes()
  maxPendingBytesTotal = shareOfHeap(1 / 16);

  /** Messages per time; too many close with 4430. Default: no limit. */
  @IsOptional()
  @ValidateNested()
  rate: RateOptions | undefined = undefined;

  /** What happens to a message whose payload names another thread than the connection's. */
  @oneOf('reject', 'close', 'off')
  threadCheck: 'reject' | 'close' | 'off' = 'reject';
}

/** What is sent to clients. */
export class OutboundOptions {
  /**
   * Bytes that may wait for a slow reader; beyond, the connection closes with 4441. Messages below a
   * kilobyte count with what they cost beside their bytes, so that memory per reader has the same bound.
   */
  @bytes()
  maxBufferedBytes = 1_048_576;

  /**
   * Bytes that may wait for the slow readers of this process together; beyond, the slowest are cut, with 4441. Default:
   * 1/4 of the heap limit of V8; what waits lies outside of that heap.
   */
  @bytes()
  maxBufferedBytesTotal = shareOfHeap(1 / 4);

  /** How long `sendAsync` waits for the operating system to take a message. */
  @millisecondsFrom(1)
  sendTimeoutMs = 5_000;
}

/** How dead peers are found. */
export class HeartbeatOptions {
  /** Every connection is pinged once in this time. 25 s: below the 30 s after which load balancers hang up. */
  @millisecondsFrom(1)
  intervalMs = 25_000;

  /** How long a pong may take; then the connection closes with 4443. */
  @millisecondsFrom(1)
  timeoutMs = 10_000;

  /**
   * How long a pong may take while bytes still move: the answer to a ping comes behind the message that a client is
   * sending, or waits behind one that it is still reading. Five minutes, as Node allows an HTTP request.
   */
  @millisecondsFrom(1)
  transferTimeoutMs = 300_000;
}

/** How the process goes away. */
export class ShutdownOptions {
  /** Deadline of the drain: close frames, disconnect hooks and disposers. What is left is cut. */
  @millisecondsFrom(1)
  deadlineMs = 10_000;
}

/** What is kept for clients that come back. Nothing is, unless the group is given. */
export class ResumeOptions {
  /** How long an event is kept, and a thread's place after its last connection has left. */
  @millisecondsFrom(1)
  windowMs = 120_000;

  /** Events of one thread. */
  @atLeastOne()
  maxEvents = 1_000;

  /** Bytes of one thread. */
  @bytes()
  maxBytes = 1_048_576;

  /** Threads that nobody has open and that are kept all the same. In the memory of one process. */
  @atLeastOne()
  maxThreads = 10_000;

  /** Bytes of all threads together. In the memory of one process. */
  @bytes()
  maxTotalBytes = 67_108_864;
}

/** What is watched beyond the numbers that cost nothing. */
export class LeaksOptions {
  /** Remember the stack that made each manager, to name it in the leak report. Costs about 10 µs a connection. */
  @flag()
  captureCreationSite = false;
}

function shareOfHeap(share: number): number {
  return Math.floor(getHeapStatistics().heap_size_limit * share);
}

function proactiveIntervalByEnvironment(): number {
  if (process.env['NODE_ENV'] === 'production') return 120_000;
  return process.env['NODE_ENV'] === 'test' ? 30_000 : 60_000;
}
