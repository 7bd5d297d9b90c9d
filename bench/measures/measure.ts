import { setTimeout as pause } from 'node:timers/promises';

import type { Candidate, ServerOptions } from '../candidates/candidate.js';
import type { LoadMethods } from '../processes/load.process.js';
import { Remote } from '../../lab/remote.js';
import { Server } from '../processes/server.js';
import type { Profiles } from '../profile/profiles.js';
import type { Results } from '../results.js';
import type { Settings } from '../settings.js';

/** The argument of every measure. */
export interface Bench {
  readonly settings: Settings;
  readonly results: Results;
  readonly profiles: Profiles | undefined;
  /** Shows the current step on the terminal. */
  progress(text: string): void;
}

export interface Measure {
  readonly name: string;
  run(bench: Bench): Promise<void>;
}

/** The servers of some candidates, and the load process for them. */
export interface Fleet {
  readonly servers: readonly Server[];
  readonly load: Remote<LoadMethods>;
}

export function startLoad(core?: number): Remote<LoadMethods> {
  return new Remote(new URL('../processes/load.process.js', import.meta.url), [], core);
}

/**
 * Starts the servers of the candidates and a load process, and ends them even if `work` rejects.
 *
 * @param core the processor core that all of them share, where `taskset` exists. Default: all cores
 */
export async function withFleet(
  { profiles }: Bench,
  candidates: readonly Candidate[],
  options: ServerOptions,
  work: (fleet: Fleet) => Promise<void>,
  core?: number,
): Promise<void> {
  const load = startLoad(core);
  const servers: Server[] = [];
  try {
    for (const candidate of candidates) {
      servers.push(await Server.start(candidate, options, profiles, core));
    }
    // Booting leaves work for background threads: compilation and garbage collection.
    await pause(500);
    await work({ servers, load });
  } finally {
    await Promise.all([load.end(), ...servers.map((server) => server.end())]);
  }
}

/**
 * Runs all subjects once per round, so that other load on the machine affects them alike. Each round begins with a
 * different subject.
 */
export async function interleave<T>(
  rounds: number,
  subjects: readonly T[],
  work: (subject: T, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < subjects.length; turn += 1) {
      await work(subjects[(round + turn) % subjects.length]!, round);
    }
  }
}
