/** Memory that a waiting frame takes beside its bytes: buffers, a write request, their places in queues. */
const FRAME_OVERHEAD_BYTES = 384;
/** Bytes and overhead together may take this multiple of the bound for bytes. */
const WITH_OVERHEAD = 1.4;
/** The mean size of a frame covers about this many of the latest frames. */
const REMEMBERED_FRAMES = 4_096;

/**
 * The memory that waits for a slow reader. A socket reports its waiting bytes but not its frames, and a megabyte of
 * tiny frames takes ten megabytes. The number of frames is estimated from the mean size of the frames that were sent
 * since the last moment at which nothing waited.
 */
export class Backlog {
  #frames = 1;
  #bytes: number;

  /** @param waiting bytes that wait already: of one frame, because nothing waited when it was sent */
  constructor(waiting: number) {
    this.#bytes = waiting;
  }

  /** Counts a frame that is to wait behind `waiting` bytes. Returns whether that exceeds the bound. */
  exceeds(maxBytes: number, waiting: number, frameBytes: number): boolean {
    if (this.#frames === REMEMBERED_FRAMES) {
      this.#frames /= 2;
      this.#bytes /= 2;
    }
    this.#frames += 1;
    this.#bytes += frameBytes;
    const total = waiting + frameBytes;
    return total > maxBytes || this.weightOf(total) > maxBytes * WITH_OVERHEAD;
  }

  /** Memory that `waiting` bytes take, with the overhead of their frames. */
  weightOf(waiting: number): number {
    return waiting + (waiting / this.#bytes) * this.#frames * FRAME_OVERHEAD_BYTES;
  }
}
