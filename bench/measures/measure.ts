import { availableParallelism } from 'node:os';
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
  return new Remote(new URL('../processes/load.process.js', import.meta.url), { core });
}

/** The cores of the servers and of their load, and the Node.js of the servers. */
interface Places {
  /** Default: any core. */
  readonly servers?: number;
  /** Default: any core. */
  readonly load?: number;
  /** The file of a Node.js. Default: the one of this process. */
  readonly node?: string;
}

/**
 * Servers and load do not take turns. With fewer cores than two, they do. The load never sleeps: the processor time for
 * waking it would count as that of the server, and a slower server, for which its clients sleep more often, would pay
 * for it more often. Where a process is woken through the hypervisor, that made 2.5 µs of a message of 64 bytes on bare
 * `ws`, and 5 of one of this library.
 */
export const APART: Places = availableParallelism() > 1 ? { servers: 1, load: 0 } : {};
/** Servers and load take turns on one core, as on a small machine. */
export const TOGETHER: Places = availableParallelism() > 1 ? { servers: 1, load: 1 } : {};

/**
 * Starts the servers of the candidates and a load process, and ends them even if `work` rejects.
 *
 * @param places where they run, where `taskset` exists. Default: on any core
 */
export async function withFleet(
  { profiles }: Bench,
  candidates: readonly Candidate[],
  options: ServerOptions,
  work: (fleet: Fleet) => Promise<void>,
  { servers: core, load: loadCore, node }: Places = {},
): Promise<void> {
  const load = startLoad(loadCore);
  const servers: Server[] = [];
  try {
    if (loadCore !== core) await load.call('stayAwake');
    for (const candidate of candidates) {
      servers.push(await Server.start(candidate, options, profiles, { core, node }));
    }
    // Booting leaves work for background threads: compilation and garbage collection.
    await pause(500);
    await work({ servers, load });
  } finally {
    await Promise.all([load.end(), ...servers.map((server) => server.end())]);
  }
}

/** Opens this many connections to each server, in a group with the name of its candidate. */
export async function connectClients(
  { servers, load }: Fleet,
  count: number,
  more: { readonly deflates?: boolean } = {},
): Promise<void> {
  for (const { candidate, port } of servers) {
    const { name, protocol } = candidate;
    await load.call('open', name, { ...more, port, protocol, count, concurrency: 8 });
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
