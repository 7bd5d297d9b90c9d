import { execFileSync } from 'node:child_process';

import type { Candidate } from '../candidates/candidate.js';
import type { Profiles } from '../profile/profiles.js';
import { startLoad } from '../measures/measure.js';
import type { LoadMethods } from './load.process.js';
import type { Remote } from '../../lab/remote.js';
import { Server } from './server.js';

/** File descriptors that a process needs besides its connections. */
const OTHER_DESCRIPTORS = 1_000;
const CONCURRENCY = 64;
const GROUP = 'all';

/** A part of the connections: a server, and its load process. */
export interface Share {
  readonly server: Server;
  readonly load: Remote<LoadMethods>;
  readonly connections: number;
}

/**
 * Connections spread over as many pairs of processes as the limit of file descriptors requires. A single pair is
 * enough where the system is configured for servers.
 */
export class ManyConnections {
  private constructor(readonly shares: readonly Share[]) {}

  static async start(
    candidate: Candidate,
    connections: number,
    profiles?: Profiles,
  ): Promise<ManyConnections> {
    const processes = Math.ceil(connections / (maxDescriptors() - OTHER_DESCRIPTORS));
    const shares: Share[] = [];
    for (let left = processes; left > 0; left -= 1) {
      const taken = shares.reduce((sum, share) => sum + share.connections, 0);
      const share = Math.round((connections - taken) / left);
      const server = await Server.start(candidate, { connections: share }, profiles);
      shares.push({ server, load: startLoad(), connections: share });
    }
    return new ManyConnections(shares);
  }

  /** Opens connections, sends a message over each and closes them, so that one-time costs are not measured. */
  async warmUp(): Promise<void> {
    await this.#forEach(async (share) => {
      await openConnections(share, 300);
      await share.load.call('echoOnce', GROUP, 64);
      await share.load.call('close', GROUP);
    });
  }

  open(): Promise<void> {
    return this.#forEach((share) => openConnections(share, share.connections));
  }

  echoOnce(): Promise<void> {
    return this.#forEach(({ load }) => load.call('echoOnce', GROUP, 64));
  }

  /** Resolves with the sum of the values of all servers. */
  async sum(valueOf: (server: Server) => Promise<number>): Promise<number> {
    const values = await Promise.all(this.shares.map(({ server }) => valueOf(server)));
    return values.reduce((total, value) => total + value, 0);
  }

  async end(): Promise<void> {
    await Promise.all(this.shares.flatMap(({ server, load }) => [server.end(), load.end()]));
  }

  async #forEach(work: (share: Share) => Promise<unknown>): Promise<void> {
    await Promise.all(this.shares.map(work));
  }
}

function openConnections({ server, load }: Share, count: number): Promise<void> {
  const { port, candidate } = server;
  const { protocol } = candidate;
  return load.call('open', GROUP, { port, protocol, count, concurrency: CONCURRENCY });
}

function maxDescriptors(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(limit);
}
