import { type EventLoopUtilization, performance } from 'node:perf_hooks';

/** Measures how busy this process is between two readings. It has no timer. */
export class ProcessMeter {
  #loop: EventLoopUtilization = performance.eventLoopUtilization();
  #cpu = process.cpuUsage();
  #readAt = performance.now();

  read(): { busy: number; cpu: number; memoryBytes: number } {
    const now = performance.now();
    const loop = performance.eventLoopUtilization();
    const busy = performance.eventLoopUtilization(loop, this.#loop).utilization;
    const used = process.cpuUsage(this.#cpu);
    const elapsedMs = Math.max(1, now - this.#readAt);
    this.#loop = loop;
    this.#cpu = process.cpuUsage();
    this.#readAt = now;
    return {
      busy,
      cpu: (used.user + used.system) / 1000 / elapsedMs,
      memoryBytes: process.memoryUsage.rss(),
    };
  }
}
