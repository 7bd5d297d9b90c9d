import { describe, expect, it } from '@jest/globals';

import { ArrivalRate } from '../../src/admission/arrival-rate.js';

// A crowd that comes back to some nodes behind a proxy, in simulated time. No node knows of the others, and a refused
// client comes back to whichever the proxy chooses.

const PER_SECOND = 34;
const BURST = 34;
/** How much later than told a client comes at most: `firstDelayMs` of the client, and its way to the node. */
const LATE_MS = 600;

interface Node {
  /** When it is up, in milliseconds. */
  readonly upAt: number;
  readonly rate: ArrivalRate;
  connections: number;
}

/** Chooses one of the nodes that are up. */
type Balance = (nodes: readonly Node[], arrival: number) => Node;

const roundRobin: Balance = (nodes, arrival) => nodes[arrival % nodes.length]!;
const leastConnections: Balance = (nodes) =>
  nodes.reduce((least, node) => (node.connections < least.connections ? node : least));
const random: Balance = (nodes) => nodes[Math.floor(Math.random() * nodes.length)]!;

interface Outcome {
  /** When the last client was served, of the time that the rate predicts. */
  readonly ofPrediction: number;
  /** Refusals per client. */
  readonly refusals: number;
  /** The shortest time that a client was told to wait. */
  readonly leastMs: number;
}

/** Lets clients come until all are served. Those that find no node up try again within a few seconds. */
function comeBack(clients: number, upAt: readonly number[], balance: Balance): Outcome {
  const nodes = upAt.map((at): Node => {
    return { upAt: at, rate: new ArrivalRate(PER_SECOND, BURST, at), connections: 0 };
  });
  // Millisecond → how many come then.
  const due: number[] = [];
  const comeAt = (at: number): void => {
    const ms = Math.ceil(at);
    due[ms] = (due[ms] ?? 0) + 1;
  };
  for (let client = 0; client < clients; client += 1) comeAt(Math.random() * 1_000);
  let [served, refused, arrivals, now] = [0, 0, 0, 0];
  let leastMs = Number.POSITIVE_INFINITY;
  for (; served < clients; now += 1) {
    const up = nodes.filter((node) => node.upAt <= now);
    for (let left = due[now] ?? 0; left > 0; left -= 1) {
      const node = up.length > 0 ? balance(up, (arrivals += 1)) : undefined;
      if (!node) comeAt(now + 1 + Math.random() * 5_000);
      else if (node.rate.take(now)) [served, node.connections] = [served + 1, node.connections + 1];
      else {
        refused += 1;
        const toldMs = node.rate.queue(now, false);
        leastMs = Math.min(leastMs, toldMs);
        comeAt(now + 1 + toldMs + Math.random() * LATE_MS);
      }
    }
  }
  const queueMs = (clients / nodes.length - BURST) * (1_000 / PER_SECOND);
  return {
    ofPrediction: now / (Math.max(...upAt) + queueMs),
    refusals: refused / clients,
    leastMs,
  };
}

describe('A crowd that comes back as told', () => {
  it.each([
    ['one node', [0], roundRobin],
    ['two nodes in turn', [0, 0], roundRobin],
    ['two nodes at random', [0, 0], random],
    // In the first burst, most go to the node that refuses: it has the fewest connections.
    ['the one of two nodes with the fewest connections', [0, 0], leastConnections],
    ['three nodes that are up together', [8_000, 8_000, 8_000], leastConnections],
    ['three nodes that are up one after another', [6_000, 9_000, 12_000], roundRobin],
    [
      'the emptiest of three nodes that are up one after another',
      [6_000, 9_000, 12_000],
      leastConnections,
    ],
  ] as const)('to %s is served in the time that the rate predicts', (_name, upAt, balance) => {
    const { ofPrediction, refusals, leastMs } = comeBack(1_000 * upAt.length, upAt, balance);
    expect(ofPrediction).toBeGreaterThan(0.75);
    expect(ofPrediction).toBeLessThan(1.25);
    expect(refusals).toBeLessThan(4);
    // `firstDelayMs` of the client: told to come earlier, it goes by a back-off of its own.
    expect(leastMs).toBeGreaterThanOrEqual(500);
  });
});
