/** What a waiting frame costs beside its bytes: buffers, a write request, their places in queues. */
const FRAME_OVERHEAD_BYTES = 384;
/** So much of the bound for bytes may be spent on bytes and overhead together. */
const WITH_OVERHEAD = 1.4;
/** The mean is one of the last frames: about so many. */
const REMEMBERED_FRAMES = 4_096;

/**
 * What waits for a slow reader. A socket tells its bytes but not its frames, and a megabyte of tiny
 * ones costs ten: their number is worked out from the mean of what was sent since nothing waited.
 */
export class Backlog {
  #frames = 0;
  #bytes = 0;

  /** One more frame is to wait behind `waiting` bytes: whether that is too much. */
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

  /** What so many waiting bytes take of memory, with the overhead of their frames. */
  weightOf(waiting: number): number {
    return waiting + (waiting / this.#bytes) * this.#frames * FRAME_OVERHEAD_BYTES;
  }
}
