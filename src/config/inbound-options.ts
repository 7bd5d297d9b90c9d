import { getHeapStatistics } from 'node:v8';

import { IsOptional, ValidateNested } from '../validation/class-validator.js';

import { atLeastOne, bytes, LARGEST_FRAME_BYTES, millisecondsFrom, oneOf } from './option-rules.js';

// The initial value of a property is its default; its decorators are its rule.

/** A token bucket: `messages` per `perMs` milliseconds. */
export class RateOptions {
  /** Messages per connection. */
  @atLeastOne()
  messages: number = Number.NaN;

  /** The period of the rate, in milliseconds. */
  @millisecondsFrom(1)
  perMs: number = Number.NaN;

  /** Messages over all connections of one user. Default: the same as `messages`. */
  @IsOptional()
  @atLeastOne()
  perUser?: number | undefined = undefined;
}

/** What clients may send. */
export class InboundOptions {
  /** The largest message; a larger one closes the connection with 1009. */
  @bytes(LARGEST_FRAME_BYTES)
  maxPayloadBytes = 65_536;

  /** Handlers of one connection that may run at once. 1 = strictly one after another. */
  @atLeastOne()
  concurrency = 16;

  /** Bytes of messages that may wait for a handler; beyond that, the connection closes with 1008. */
  @bytes()
  maxPendingBytes = 1_048_576;

  /**
   * Bytes of messages of all connections together that may wait for a handler in this process. From half of it on,
   * reading pauses earlier on the connections that hold most; beyond it these connections close with 1013. Default:
   * 1/16 of the heap limit of V8, since a parsed message may take ten times the memory of its text.
   */
  @bytes()
  maxPendingBytesTotal = shareOfHeap(1 / 16);

  /** The rate of messages; beyond it, the connection closes with 4430. Default: no limit. */
  @IsOptional()
  @ValidateNested()
  rate: RateOptions | undefined = undefined;

  /** Questions of `manager.ask()` to one connection that may be open. */
  @atLeastOne()
  maxAsks = 100;

  /** Streams of one connection that may be open: async iterables and streams that handlers return. */
  @atLeastOne()
  maxStreams = 16;

  /** How long a schema of a contract may take to decide, where it returns a promise. */
  @millisecondsFrom(1)
  validationTimeoutMs = 5_000;

  /** What happens to a message whose payload names another thread than the connection's. */
  @oneOf('reject', 'close', 'off')
  threadCheck: 'reject' | 'close' | 'off' = 'reject';
}

/** A share of the heap limit of V8, in bytes. */
export function shareOfHeap(share: number): number {
  return Math.floor(getHeapStatistics().heap_size_limit * share);
}
