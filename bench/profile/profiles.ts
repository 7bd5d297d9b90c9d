import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Profiler } from 'node:inspector/promises';

import { selfTimes, timesByPart } from './cpu-summary.js';
import type { HeapShare } from './heap-shares.js';

const FUNCTIONS = 40;
const TYPES = 30;

/** The profiles that `--profile` has recorded. */
export class Profiles {
  // Only the last profile of each title: in the first rounds, code is still being compiled.
  readonly #recorded = new Map<string, Profiler.Profile>();
  readonly #heaps: { title: string; lines: string[] }[] = [];

  add(title: string, profile: object): void {
    this.#recorded.set(title, profile as Profiler.Profile);
  }

  /** Adds the growth of the heap per connection. */
  addHeap(
    title: string,
    before: readonly HeapShare[],
    after: readonly HeapShare[],
    connections: number,
  ): void {
    const earlier = new Map(before.map((share) => [share.type, share]));
    const grown = after
      .map(({ type, count, bytes }) => ({
        type,
        count: (count - (earlier.get(type)?.count ?? 0)) / connections,
        bytes: (bytes - (earlier.get(type)?.bytes ?? 0)) / connections,
      }))
      .toSorted((a, b) => b.bytes - a.bytes);
    const total = grown.reduce((sum, { bytes }) => sum + bytes, 0);
    const lines = grown
      .slice(0, TYPES)
      .map(
        ({ type, count, bytes }) =>
          `${bytes.toFixed(0).padStart(8)} B ${count.toFixed(2).padStart(8)} × ${type}`,
      );
    this.#heaps.push({ title: `${title}: ${total.toFixed(0)} B per connection`, lines });
  }

  /** Writes the profiles as files for a browser's developer tools, and resolves with a summary. */
  async finish(name: string): Promise<string> {
    const folder = fileURLToPath(new URL('../../profiles/', import.meta.url));
    await mkdir(folder, { recursive: true });
    const lines: string[] = [];
    for (const [title, profile] of this.#recorded) {
      await writeFile(`${folder}${name}.${title}.cpuprofile`, JSON.stringify(profile));
      lines.push(...cpuLines(title, profile));
    }
    for (const heap of this.#heaps) lines.push('', heap.title, ...heap.lines);
    return lines.join('\n');
  }
}

function cpuLines(title: string, profile: Profiler.Profile): string[] {
  const times = selfTimes(profile);
  const total = times.reduce((sum, { us }) => sum + us, 0);
  const share = (us: number): string => `${((us / total) * 100).toFixed(1).padStart(6)} %`;
  return [
    '',
    `${title}: time by part`,
    ...timesByPart(times).map(({ part, us }) => `${share(us)}  ${part}`),
    '',
    `${title}: time by function, without the functions it calls`,
    ...times
      .slice(0, FUNCTIONS)
      .map(({ name, place, us }) => `${share(us)}  ${name}  ${place}`.trimEnd()),
  ];
}
