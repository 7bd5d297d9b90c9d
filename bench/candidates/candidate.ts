import type { Server } from 'node:http';

/** The protocol of a candidate's clients: plain `{ event, data }` frames, or Socket.IO's protocol. */
export type Protocol = 'plain' | 'socket.io';

/** A server that the benchmark compares with the others. */
export interface Candidate {
  /** The name of the candidate's file in this folder, and its name for `--only`. */
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

/** Options for starting a candidate's server. */
export interface ServerOptions {
  /** How many concurrent connections the server must hold. */
  readonly connections: number;
  /** Lets admission refuse nearly all arrivals: by the rate of the process, or by that of their address. */
  readonly refuses?: 'process' | 'address';
  /** The Redis that connects the server with other nodes. Default: it is the only one. */
  readonly redisUrl?: string;
  /** Whether the messages to {@link TOPIC} are kept for clients that come back. Only with `redisUrl`. */
  readonly keepsHistory?: boolean;
  /** Whether messages are compressed: {@link DEFLATE}. Only `bare-ws` and `isolated-injected` can. */
  readonly deflates?: boolean;
}

/** A running server, as the measures use it. */
export interface BenchServer {
  readonly port: number;
  readonly httpServer: Server;
  /** Sets the maximum number of connections per user. */
  allowPerUser?(connections: number): void;
  /** Sends one message to every connection of {@link CROWD}. */
  toCrowd?(): void;
  /** Asks every connection {@link NEWS} this many times, one question after the other. */
  askAll?(each: number): Promise<void>;
  /** Lets all open connections of this server join {@link TOPIC}. Absent where topics do not exist. */
  joinTopic?(): Promise<void>;
  /** Sends one message to every member of {@link TOPIC}, on all nodes. */
  toTopic?(): void;
  /** Starts to ping every connection once per `intervalMs`. Absent where the server pings by default. */
  startPinging?(intervalMs: number): void;
}

/** The type of the `start` function that each candidate's file exports. */
export type StartServer = (options: ServerOptions) => Promise<BenchServer>;

/** The user id of all connections that a fan-out is sent to. */
export const CROWD = 'crowd';

/** What a server that compresses is told: clients send one prepared frame again and again, so no context is kept. */
export const DEFLATE = { serverNoContextTakeover: true, clientNoContextTakeover: true };

/** The bytes of an item of a long stream. */
export const STREAM_CHUNK_BYTES = 16_384;

/** The topic, or the room of Socket.IO, that connections join. */
export const TOPIC = 'news-room';

/** The payload of a fan-out, and of a question. */
export const NEWS = Object.freeze({ headline: 'All quiet on the loopback', edition: 1 });
