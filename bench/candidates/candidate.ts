import type { Server } from 'node:http';

/** How a candidate's clients talk: plain `{ event, data }` frames, or Socket.IO's protocol. */
export type Protocol = 'plain' | 'socket.io';

/** One of the servers that are compared. */
export interface Candidate {
  /** Its file in this folder, and what `--only` names. */
  readonly name: string;
  readonly title: string;
  readonly protocol: Protocol;
}

export const PATH = '/bench';

export const candidates: readonly Candidate[] = [
  { name: 'bare-ws', title: 'bare ws + JSON', protocol: 'plain' },
  { name: 'nest-singleton', title: 'Nest singleton on WsAdapter', protocol: 'plain' },
  { name: 'nest-request-scoped', title: 'Nest request-scoped on WsAdapter', protocol: 'plain' },
  { name: 'nest-socket-io', title: 'Nest singleton on Socket.IO', protocol: 'socket.io' },
  {
    name: 'nest-enhanced',
    title: 'Nest singleton, guard + pipe + interceptor',
    protocol: 'plain',
  },
  { name: 'isolated-singleton', title: 'ours, singleton with parameters', protocol: 'plain' },
  { name: 'isolated-injected', title: 'ours, per-connection injection', protocol: 'plain' },
  {
    name: 'isolated-enhanced',
    title: 'ours, per-connection, guard + pipe + interceptor',
    protocol: 'plain',
  },
];

export function candidateNamed(name: string): Candidate {
  const found = candidates.find((candidate) => candidate.name === name);
  if (found) return found;
  const names = candidates.map((candidate) => candidate.name).join(', ');
  throw new Error(`There is no candidate "${name}". There are: ${names}.`);
}

/** What a server is started for. */
export interface ServerOptions {
  /** Connections it has to hold at once. */
  readonly connections: number;
}

/** A started server, as the measures use it. */
export interface BenchServer {
  readonly port: number;
  readonly httpServer: Server;
  /** Lets one user have so many connections. */
  allowPerUser?(connections: number): void;
  /** Sends one message to every connection of {@link CROWD}. */
  fanOut?(): void;
  /** Starts pinging every connection once per so many milliseconds, where the server does not do that anyway. */
  startPinging?(intervalMs: number): void;
}

/** What every file of a candidate exports as `start`. */
export type StartServer = (options: ServerOptions) => Promise<BenchServer>;

/** The user who has all the connections that a fan-out goes to. */
export const CROWD = 'crowd';

/** What a fan-out sends. */
export const NEWS = Object.freeze({ headline: 'All quiet on the loopback', edition: 1 });
