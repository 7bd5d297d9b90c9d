import { runOutsideContext } from '../context/running-code.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import type { LatestKey } from '../wire/send-policy.js';
import type { Frame } from '../wire/write-frame.js';

/** Most messages that are kept for one connection. */
export const MAX_LATEST = 100;

/** The connection that messages are kept for. */
export interface BusyManager {
  readonly bufferedBytes: number;
  drained(): Promise<void>;
  sendFrame(frame: Frame): DeliveryResult;
}

/** The messages that are kept for one connection, by event and topic. */
class Kept {
  readonly frames = new Map<LatestKey, Frame>();
  bytes = 0;

  set(key: LatestKey, frame: Frame): void {
    this.delete(key);
    this.frames.set(key, frame);
    this.bytes += sizeOf(key, frame);
  }

  delete(key: LatestKey): void {
    const frame = this.frames.get(key);
    if (frame === undefined) return;
    this.frames.delete(key);
    this.bytes -= sizeOf(key, frame);
  }
}

/**
 * The messages with the policy `'latest'` that wait for room, by connection. Kept beside the managers: a connection for
 * which none waits takes no memory for them.
 */
export class LatestFrames<Manager extends BusyManager> {
  readonly #kept = new Map<Manager, Kept>();

  constructor(
    private readonly lowWaterBytes: number,
    private readonly maxBytes: number,
  ) {}

  /** Messages that are kept for a connection. */
  countOf(manager: Manager): number {
    return this.#kept.get(manager)?.frames.size ?? 0;
  }

  /** Bytes that are kept for a connection. */
  bytesOf(manager: Manager): number {
    return this.#kept.get(manager)?.bytes ?? 0;
  }

  /** The connections that messages are kept for. */
  managers(): Iterable<Manager> {
    return this.#kept.keys();
  }

  /** Messages that are kept for all connections. */
  get size(): number {
    let sum = 0;
    for (const { frames } of this.#kept.values()) sum += frames.size;
    return sum;
  }

  /** Keeps a message until there is room; `undefined` where the bounds leave no place for it. */
  keep(manager: Manager, key: LatestKey, frame: Frame): 'queued' | 'replaced' | undefined {
    const known = this.#kept.get(manager);
    const kept = known ?? new Kept();
    const earlier = kept.frames.get(key);
    const bytes = kept.bytes + sizeOf(key, frame) - (earlier ? sizeOf(key, earlier) : 0);
    if (bytes > this.maxBytes || (!earlier && kept.frames.size >= MAX_LATEST)) return undefined;
    kept.set(key, frame);
    if (!known) {
      this.#kept.set(manager, kept);
      // The rest has nothing to do with the handler that sends.
      void runOutsideContext((waiting) => this.#sendWhenThereIsRoom(manager, waiting), kept);
    }
    return earlier === undefined ? 'queued' : 'replaced';
  }

  /** A newer message of the key is being sent. */
  forget(manager: Manager, key: LatestKey): void {
    this.#kept.get(manager)?.delete(key);
  }

  /** Takes a message out of the kept ones, to send it without waiting for room. */
  take(manager: Manager, key: LatestKey): Frame | undefined {
    const frame = this.#kept.get(manager)?.frames.get(key);
    this.forget(manager, key);
    return frame;
  }

  /** The connection is closing. */
  close(manager: Manager): void {
    this.#kept.delete(manager);
  }

  // Never rejects.
  async #sendWhenThereIsRoom(manager: Manager, kept: Kept): Promise<void> {
    while (kept.frames.size > 0) {
      await manager.drained();
      if (this.#kept.get(manager) !== kept) return;
      for (const [key, frame] of kept.frames) {
        if (manager.bufferedBytes > this.lowWaterBytes) break;
        kept.delete(key);
        manager.sendFrame(frame);
      }
    }
    if (this.#kept.get(manager) === kept) this.#kept.delete(manager);
  }
}

function sizeOf(key: LatestKey, frame: Frame): number {
  return (typeof key === 'string' ? key.length : 0) + frame.length;
}
