import type { Profiler } from 'node:inspector/promises';

/** A function and the time spent in it, without the functions that it calls. */
export interface SelfTime {
  readonly name: string;
  readonly place: string;
  readonly us: number;
}

/** Returns the functions of a profile, the most expensive first. Idle time is left out. */
export function selfTimes({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): SelfTime[] {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, SelfTime>();
  for (const [index, sample] of samples.entries()) {
    const frame = frames.get(sample)!;
    if (frame.functionName === '(idle)') continue;
    const name = frame.functionName || '(anonymous)';
    const place = frame.url ? `${placeOf(frame.url)}:${frame.lineNumber + 1}` : '';
    const key = `${name} ${place}`;
    const us = (times.get(key)?.us ?? 0) + (timeDeltas[index] ?? 0);
    times.set(key, { name, place, us });
  }
  return [...times.values()].toSorted((a, b) => b.us - a.us);
}

// Returns the path inside the package: absolute paths of this machine carry no information.
function placeOf(url: string): string {
  const inPackage = /node_modules\/((?:@[^/]+\/)?[^/]+\/.*)$/.exec(url)?.[1];
  const ours = /\/(dist(?:-bench)?\/.*)$/.exec(url)?.[1];
  return inPackage ?? ours ?? url;
}

/** Returns the time by package, the most expensive first. */
export function timesByPart(times: readonly SelfTime[]): { part: string; us: number }[] {
  const parts = new Map<string, number>();
  for (const { name, place, us } of times) {
    const part = partOf(name, place);
    parts.set(part, (parts.get(part) ?? 0) + us);
  }
  return [...parts].map(([part, us]) => ({ part, us })).toSorted((a, b) => b.us - a.us);
}

function partOf(name: string, place: string): string {
  if (place === '') return name.startsWith('(') ? name : '(native)';
  if (place.startsWith('node:')) return 'node';
  const [first, second] = place.split('/');
  return first!.startsWith('@') || first === 'dist' ? `${first}/${second}` : first!;
}
