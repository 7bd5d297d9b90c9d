/** A fleet that goes through the storms: which servers, and which clients. */
export interface StormCandidate {
  readonly name: string;
  readonly title: string;
  /** Nest's `WsAdapter` and clients that retry every second, or this library with its client. */
  readonly isOurs: boolean;
  /** Whether admission is on, and how it refuses. */
  readonly admission?: 'close-behind-proxy' | 'http';
}

export const candidates: readonly StormCandidate[] = [
  { name: 'stock', title: 'stock Nest, clients retry every second', isOurs: false },
  { name: 'open', title: 'ours, without admission', isOurs: true },
  {
    name: 'admission',
    title: 'ours, with admission',
    isOurs: true,
    admission: 'close-behind-proxy',
  },
  {
    name: 'admission-http',
    title: 'ours, with admission, refusals as HTTP 503',
    isOurs: true,
    admission: 'http',
  },
];

export const events = ['drain', 'kill', 'restart', 'all'] as const;

/**
 * What starts the storm, to one of three nodes: `drain` ends it with SIGTERM, `kill` with SIGKILL, `restart` with
 * SIGTERM and starts it again; `all` kills and starts all three at once.
 */
export type StormEvent = (typeof events)[number];

export const eventTitles: Readonly<Record<StormEvent, string>> = {
  drain: 'One node is drained (SIGTERM)',
  kill: 'One node is killed (SIGKILL)',
  restart: 'One node is restarted (SIGTERM)',
  all: 'All nodes are killed and started again at once',
};

/** The path of the gateway. */
export const PATH = '/storm';

/** How a node is started. Rates are those of one node. */
export interface NodeOptions {
  readonly candidate: string;
  readonly port: number;
  readonly perSecond: number;
  readonly burst: number;
  readonly spreadMs: number;
}

export function candidateNamed(name: string): StormCandidate {
  const found = candidates.find((candidate) => candidate.name === name);
  if (found) return found;
  throw new Error(`There is no candidate "${name}": ${candidates.map((c) => c.name).join(', ')}.`);
}
