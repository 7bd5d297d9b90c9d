import { IsNumber, Max, Min } from '../validation/class-validator.js';

import { shareOfHeap } from './inbound-options.js';
import { atLeastOne, bytes, flag, millisecondsFrom, oneOf } from './option-rules.js';

// The initial value of a property is its default; its decorators are its rule. Both are written only here.

/** How many managers (connections) there may be. */
export class LimitsOptions {
  /**
   * Connections that one user may have, handshakes under way included; with a cluster, on all nodes together.
   * Default: 20.
   */
  @atLeastOne()
  maxManagersPerUser = 20;

  /** Connections that this process may have, of all users. Default: 10,000. */
  @atLeastOne()
  maxManagers = 10_000;

  /**
   * Share of `maxManagersPerUser`, from 0.01 to 1. From this share on, an arrival first removes the dead and stale
   * connections of its user. Default: 0.6.
   */
  @IsNumber({}, { message: 'must be a number' })
  @Min(0.01, { message: 'must be above 0' })
  @Max(1, { message: 'must not exceed 1' })
  proactiveThreshold = 0.6;

  /**
   * What happens when a user has no free slot and cleanup frees none: `'reject'` refuses the new connection,
   * `'evict-idle'` closes the user's least recently active connection that is not pinned. Default: `'reject'`.
   */
  @oneOf('reject', 'evict-idle')
  overflow: 'reject' | 'evict-idle' = 'reject';
}

/** When managers are removed, how often cleanup runs, and how long each step may take. */
export class CleanupOptions {
  /**
   * Milliseconds without traffic in either direction after which a connection is stale: it is closed when its user is
   * at `limits.proactiveThreshold`, or when the process holds 90 % of `limits.maxManagers`. Default: 600,000.
   */
  @millisecondsFrom(1)
  staleAfterMs = 600_000;

  /**
   * Milliseconds without traffic in either direction after which a connection is closed at any load. 0: never.
   * Default: 1,800,000.
   */
  @millisecondsFrom(0)
  idleTimeoutMs = 1_800_000;

  /** Milliseconds after which a manager that has got no socket is removed. Default: 10,000. */
  @millisecondsFrom(1)
  unattachedAfterMs = 10_000;

  /**
   * Milliseconds between two runs of the job `websocket-isolation:proactive-cleanup`. Default: 60,000; with
   * NODE_ENV=test 30,000, with NODE_ENV=production 120,000.
   */
  @millisecondsFrom(1)
  proactiveIntervalMs = proactiveIntervalByEnvironment();

  /** Milliseconds between two runs of the job `websocket-isolation:emergency-cleanup`. Default: 10,000. */
  @millisecondsFrom(1)
  emergencyIntervalMs = 10_000;

  /**
   * Milliseconds that a cleanup may take. Removals that have not ended then are abandoned and reported.
   * Default: 10,000.
   */
  @millisecondsFrom(1)
  emergencyTimeoutMs = 10_000;

  /**
   * Milliseconds that a ping of a cleanup may stay unanswered: in an emergency, and when a user is at the limit.
   * Default: 2,000.
   */
  @millisecondsFrom(1)
  probeTimeoutMs = 2_000;

  /**
   * Milliseconds that a client may take to send its close frame and hang up. Then its socket is terminated.
   * Default: 2,000.
   */
  @millisecondsFrom(1)
  closeTimeoutMs = 2_000;

  /** Milliseconds that one disposer may take, or one disconnect hook, or the end of one stream. Default: 5,000. */
  @millisecondsFrom(1)
  disposeTimeoutMs = 5_000;
}

/** What is sent to clients. */
export class OutboundOptions {
  /**
   * Bytes that may wait for a slow reader; beyond that, the connection closes with 4441. Messages below a kilobyte
   * count with their overhead in memory, so that the memory per reader has the same bound. Default: 1,048,576 (1 MiB).
   */
  @bytes()
  maxBufferedBytes = 1_048_576;

  /**
   * Bytes that may wait for all slow readers of this process together; beyond that, the slowest are terminated with
   * 4441. Default: 1/4 of the heap limit of V8; the bytes themselves lie outside of that heap.
   */
  @bytes()
  maxBufferedBytesTotal = shareOfHeap(1 / 4);

  /**
   * Bytes in the send buffer of a client's socket. A stream that a handler returned is pulled only while fewer wait
   * there. Default: 65,536 (64 KiB).
   */
  @bytes()
  streamLowWaterBytes = 65_536;

  /**
   * What happens to an item of an Observable that a handler returned, while more than `streamLowWaterBytes` wait in the
   * send buffer of its client's socket: `'close'` queues it, and a reader that stays slow is closed with 4441; `'drop'`
   * leaves it out; `'latest'` keeps only the newest item of each stream. Default: `'close'`.
   */
  @oneOf('close', 'drop', 'latest')
  onStreamOverflow: 'close' | 'drop' | 'latest' = 'close';

  /**
   * Whether replies and items are checked against the contract of their gateway. Default: true; with
   * NODE_ENV=production false.
   */
  @flag()
  checkReplies = process.env['NODE_ENV'] !== 'production';

  /** Milliseconds that `sendAsync` waits for the operating system to take a message. Default: 5,000. */
  @millisecondsFrom(1)
  sendTimeoutMs = 5_000;
}

/** How dead peers are found. */
export class HeartbeatOptions {
  /**
   * Milliseconds between two pings of a connection. Default: 25,000, below the 30 s after which load balancers hang up.
   */
  @millisecondsFrom(1)
  intervalMs = 25_000;

  /** Milliseconds that a pong may take; after that, the connection closes with 4443. Default: 10,000. */
  @millisecondsFrom(1)
  timeoutMs = 10_000;

  /**
   * Milliseconds that a pong may take while bytes still move: the pong comes after the message that a client is
   * sending, and the ping waits behind the message that it is still reading. Default: 300,000, as Node allows for an
   * HTTP request.
   */
  @millisecondsFrom(1)
  transferTimeoutMs = 300_000;
}

/** How the process shuts down. */
export class ShutdownOptions {
  /**
   * Milliseconds that the drain may take: close frames, disconnect hooks and disposers. Sockets that are left then are
   * terminated. Default: 10,000.
   */
  @millisecondsFrom(1)
  deadlineMs = 10_000;

  /**
   * Milliseconds over which the close frames are sent; `deadlineMs` begins after them. 0: as soon as the process can
   * without sending all of them at once. Default: 0.
   */
  @millisecondsFrom(0)
  spreadMs = 0;
}

/** What is kept for clients that reconnect. Nothing is kept unless the group is given. */
export class ResumeOptions {
  /**
   * Milliseconds that an event is kept, and that a thread is kept after its last connection has left. Default: 120,000.
   */
  @millisecondsFrom(1)
  windowMs = 120_000;

  /** Events kept of one thread. Default: 1,000. */
  @atLeastOne()
  maxEvents = 1_000;

  /** Bytes kept of one thread. Default: 1,048,576 (1 MiB). */
  @bytes()
  maxBytes = 1_048_576;

  /**
   * Threads that are kept although no connection has them open. Only without a cluster: in memory of one process.
   * Default: 10,000.
   */
  @atLeastOne()
  maxThreads = 10_000;

  /**
   * Bytes kept of all threads together. Only without a cluster: in memory of one process. Default: 67,108,864 (64 MiB).
   */
  @bytes()
  maxTotalBytes = 67_108_864;
}

/** Leak detection beyond the numbers that cost nothing. */
export class LeaksOptions {
  /**
   * Whether the stack that made each manager is kept, to name it in the leak report. Costs about 10 µs per connection.
   * Default: false.
   */
  @flag()
  captureCreationSite = false;
}

function proactiveIntervalByEnvironment(): number {
  if (process.env['NODE_ENV'] === 'production') return 120_000;
  return process.env['NODE_ENV'] === 'test' ? 30_000 : 60_000;
}
