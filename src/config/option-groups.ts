import { IsNumber, Max, Min } from '../validation/class-validator.js';

import { shareOfHeap } from './inbound-options.js';
import { atLeastOne, bytes, flag, millisecondsFrom, oneOf } from './option-rules.js';

// The initial value of a property is its default; its decorators are its rule. Both are written only here.

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

  /** At the limit, when cleanup frees no slot: refuse the arrival, or close the least recently active connection. */
  @oneOf('reject', 'evict-idle')
  overflow: 'reject' | 'evict-idle' = 'reject';
}

/** When managers are removed, how often cleanup runs, and how long each step may take. */
export class CleanupOptions {
  /** A manager without traffic either way for this long is stale: removed once its user is at `proactiveThreshold`. */
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

  /** Deadline of one emergency cleanup. Removals that are unfinished then are abandoned and reported. */
  @millisecondsFrom(1)
  emergencyTimeoutMs = 10_000;

  /** How long a ping may stay unanswered in an emergency. */
  @millisecondsFrom(1)
  probeTimeoutMs = 2_000;

  /** How long a client may take to send its close frame and hang up, before the socket is terminated. */
  @millisecondsFrom(1)
  closeTimeoutMs = 2_000;

  /** How long one disposer may take. */
  @millisecondsFrom(1)
  disposeTimeoutMs = 5_000;
}

/** What is sent to clients. */
export class OutboundOptions {
  /**
   * Bytes that may wait for a slow reader; beyond that, the connection closes with 4441. Messages below a kilobyte
   * count with their overhead in memory, so that the memory per reader has the same bound.
   */
  @bytes()
  maxBufferedBytes = 1_048_576;

  /**
   * Bytes that may wait for all slow readers of this process together; beyond that, the slowest are terminated with
   * 4441. Default: 1/4 of the heap limit of V8; the bytes themselves lie outside of that heap.
   */
  @bytes()
  maxBufferedBytesTotal = shareOfHeap(1 / 4);

  /** A stream that a handler returned is pulled only while its client's socket owes fewer bytes than this. */
  @bytes()
  streamLowWaterBytes = 65_536;

  /**
   * What happens to an item of an Observable that a handler returned, while its client's socket owes more than
   * `streamLowWaterBytes`: `'close'` queues it, and a reader that stays slow is closed with 4441; `'drop'` leaves it out;
   * `'latest'` keeps only the newest item of each stream.
   */
  @oneOf('close', 'drop', 'latest')
  onStreamOverflow: 'close' | 'drop' | 'latest' = 'close';

  /** Whether replies and items are checked against the contract of their gateway. Default: unless NODE_ENV=production. */
  @flag()
  checkReplies = process.env['NODE_ENV'] !== 'production';

  /** How long `sendAsync` waits for the operating system to take a message. */
  @millisecondsFrom(1)
  sendTimeoutMs = 5_000;
}

/** How dead peers are found. */
export class HeartbeatOptions {
  /** The interval of the ping of each connection. 25 s: below the 30 s after which load balancers hang up. */
  @millisecondsFrom(1)
  intervalMs = 25_000;

  /** How long a pong may take; after that, the connection closes with 4443. */
  @millisecondsFrom(1)
  timeoutMs = 10_000;

  /**
   * How long a pong may take while bytes still move: the pong comes after the message that a client is sending, and the
   * ping waits behind the message that it is still reading. Five minutes, as Node allows for an HTTP request.
   */
  @millisecondsFrom(1)
  transferTimeoutMs = 300_000;
}

/** How the process shuts down. */
export class ShutdownOptions {
  /** Deadline of the drain: close frames, disconnect hooks and disposers. Sockets that are left are terminated. */
  @millisecondsFrom(1)
  deadlineMs = 10_000;

  /**
   * Time over which the close frames are sent; `deadlineMs` begins after it. 0: as soon as the process can without
   * sending all of them at once.
   */
  @millisecondsFrom(0)
  spreadMs = 0;
}

/** What is kept for clients that reconnect. Nothing is kept unless the group is given. */
export class ResumeOptions {
  /** How long an event is kept, and how long a thread is kept after its last connection has left. */
  @millisecondsFrom(1)
  windowMs = 120_000;

  /** Events kept of one thread. */
  @atLeastOne()
  maxEvents = 1_000;

  /** Bytes kept of one thread. */
  @bytes()
  maxBytes = 1_048_576;

  /** Threads that are kept although no connection has them open. Only without a cluster: in memory of one process. */
  @atLeastOne()
  maxThreads = 10_000;

  /** Bytes kept of all threads together. Only without a cluster: in memory of one process. */
  @bytes()
  maxTotalBytes = 67_108_864;
}

/** Leak detection beyond the numbers that cost nothing. */
export class LeaksOptions {
  /** Remember the stack that made each manager, to name it in the leak report. Costs about 10 µs per connection. */
  @flag()
  captureCreationSite = false;
}

function proactiveIntervalByEnvironment(): number {
  if (process.env['NODE_ENV'] === 'production') return 120_000;
  return process.env['NODE_ENV'] === 'test' ? 30_000 : 60_000;
}
