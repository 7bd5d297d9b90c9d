import { getHeapStatistics } from 'node:v8';

import { IsOptional, ValidateNested } from '../validation/class-validator.js';

import { atLeastOne, bytes, LARGEST_FRAME_BYTES, millisecondsFrom, oneOf } from './option-rules.js';

// The initial value of a property is its default; its decorators are its rule.

/** A token bucket: `messages` per `perMs` milliseconds. */
export class RateOptions {
  /** Messages of one connection in each period. Required. */
  @atLeastOne()
  messages: number = Number.NaN;

  /** Length of the period in milliseconds. Required. */
  @millisecondsFrom(1)
  perMs: number = Number.NaN;

  /** Messages of all connections of one user in each period. Default: the same as `messages`. */
  @IsOptional()
  @atLeastOne()
  perUser?: number | undefined = undefined;
}

/** What clients may send. */
export class InboundOptions {
  /** Bytes of the largest message; a larger one closes the connection with 1009. Default: 65,536 (64 KiB). */
  @bytes(LARGEST_FRAME_BYTES)
  maxPayloadBytes = 65_536;

  /**
   * Handlers of one connection that may run at once. They start in the order of the messages. 1: strictly one after
   * another. Default: 16.
   */
  @atLeastOne()
  concurrency = 16;

  /**
   * Bytes of messages that may wait for a handler; beyond that, the connection closes with 1008. Reading pauses long
   * before. Default: 1,048,576 (1 MiB).
   */
  @bytes()
  maxPendingBytes = 1_048_576;

  /**
   * Bytes of messages of all connections together that may wait for a handler in this process. From half of it on,
   * reading pauses earlier on the connections that hold most; beyond it these connections close with 1013.
   * Default: 1/16 of the heap limit of V8, since a parsed message may take ten times the memory of its text.
   */
  @bytes()
  maxPendingBytesTotal = shareOfHeap(1 / 16);

  /** The rate of messages; beyond it, the connection closes with 4430. Default: no limit. */
  @IsOptional()
  @ValidateNested()
  rate: RateOptions | undefined = undefined;

  /**
   * Questions of `ask()` that may be open to one connection, and to one thread whose clients come back. Default: 100.
   */
  @atLeastOne()
  maxAsks = 100;

  /** Streams of one connection that may be open: async iterables and streams that handlers return. Default: 16. */
  @atLeastOne()
  maxStreams = 16;

  /** Milliseconds that a schema of a contract may take to decide, where it returns a promise. Default: 5,000. */
  @millisecondsFrom(1)
  validationTimeoutMs = 5_000;

  /**
   * What happens to a message whose payload names another thread than the connection's: `'reject'` answers with an
   * `exception`, `'close'` closes the connection with 1008, `'off'` handles the message. Default: `'reject'`.
   */
  @oneOf('reject', 'close', 'off')
  threadCheck: 'reject' | 'close' | 'off' = 'reject';
}

/** A share of the heap limit of V8, in bytes. */
export function shareOfHeap(share: number): number {
  return Math.floor(getHeapStatistics().heap_size_limit * share);
}
