// A cluster node without connections: it takes slots, and sends plain SETs over a Redis connection of the same kind.
import 'reflect-metadata';

import { type Cluster, type ClusterLease, systemClock } from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { createClient } from 'redis';

import { answer } from '../../lab/remote.js';
import { WITHOUT_TIMERS } from './redis.js';

/** Two slots per user: two tabs on the same node. */
const SLOTS_PER_USER = 2;
const AN_HOUR_MS = 3_600_000;
const VALUE = 'a connection id of about this length: conn_01';

/** The cost of an operation: its share of the wall-clock time, and of the processor time. */
export interface Cost {
  readonly wallUs: number;
  readonly cpuUs: number;
}

let cluster: Cluster;
let plain: {
  set(key: string, value: string, options: object): Promise<unknown>;
  del(key: string): Promise<unknown>;
};
let leases: ClusterLease[] = [];
let made = 0;

async function costOf(operations: number, work: () => Promise<void>): Promise<Cost> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const wallUs = (performance.now() - startedAt) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { wallUs: wallUs / operations, cpuUs: (user + system) / operations };
}

/** Runs `step` `count` times, `atOnce` of them concurrently. */
async function repeat(count: number, atOnce: number, step: () => Promise<unknown>): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await step();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

async function set(): Promise<string> {
  made += 1;
  const key = `plain:${made}`;
  await plain.set(key, VALUE, { PX: AN_HOUR_MS });
  return key;
}

async function taken(): Promise<ClusterLease> {
  made += 1;
  const lease = cluster.slots.lease(`user-${Math.floor(made / SLOTS_PER_USER)}`, `conn_${made}`);
  const got = await lease.answer;
  if (got !== 'held') throw new Error(`A slot must be held, but is ${got}`);
  return lease;
}

async function acquire(): Promise<void> {
  leases.push(await taken());
}

async function setAndDelete(): Promise<void> {
  const key = await set();
  // As with a slot, nothing waits for the end.
  void plain.del(key);
}

async function acquireAndRelease(): Promise<void> {
  const lease = await taken();
  lease.release();
}

const steps = { set, acquire, setAndDelete, acquireAndRelease };

const methods = {
  async start(url: string): Promise<void> {
    plain = await createClient({ ...WITHOUT_TIMERS, url }).connect();
    const long = { leaseMs: AN_HOUR_MS, renewMs: AN_HOUR_MS / 3, acquireTimeoutMs: 60_000 };
    const journal = { record: () => undefined };
    cluster = redisCluster({ url, commandTimeoutMs: 60_000, ...long }).create({
      clock: systemClock,
      journal,
    });
    cluster.slots.useHolder({
      limit: 20,
      overflow: 'reject',
      probeTimeoutMs: 1,
      lost: (connectionId) => {
        throw new Error(`The slot of ${connectionId} is lost`);
      },
      rescue: () => Promise.resolve([]),
    });
    await cluster.join();
  },

  /** Runs as many steps as the Redis connection carries, `atOnce` of them concurrently. */
  rate(what: keyof typeof steps, count: number, atOnce: number): Promise<Cost> {
    return costOf(count, () => repeat(count, atOnce, steps[what]));
  },

  /** Runs the steps one after another. Resolves with the duration of each, in milliseconds. */
  async latencies(what: keyof typeof steps, count: number): Promise<number[]> {
    const waits: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const startedAt = performance.now();
      await steps[what]();
      waits.push(performance.now() - startedAt);
    }
    return waits;
  },

  /** Renews all held slots once. */
  renew(): Promise<Cost> {
    const renewed = new Promise<void>((resume) => {
      cluster.slots.hold({ resume });
    });
    return costOf(leases.length, () => renewed);
  },

  /** Releases all held slots. */
  async release(): Promise<void> {
    for (const lease of leases) lease.release();
    leases = [];
    // Redis executes the commands of a connection in order: when this slot is held, the others are released.
    await acquireAndRelease();
  },
};

export type SlotsMethods = typeof methods;

answer(methods);
