import { setTimeout as pause } from 'node:timers/promises';

import { Remote } from '../../lab/remote.js';
import { candidateNamed } from '../candidates/candidate.js';
import { metrics, ScaleWays, type ScaleWay } from '../metrics.js';
import type { ClusteredMethods } from '../processes/clustered.process.js';
import type { LoadMethods } from '../processes/load.process.js';
import { withRedis } from '../processes/redis.js';
import { Server } from '../processes/server.js';
import { type Bench, interleave, type Measure, startLoad } from './measure.js';

const CANDIDATE = 'isolated-injected';
/** Connections of all processes together. */
const CONNECTIONS = 1_000;
const BYTES = 64;
const CONCURRENCY = 16;
/** Work that follows the clients' leaving is part of their cost. */
const SETTLE_MS = 50;

/** The nodes of a way. */
interface Nodes {
  readonly ports: readonly number[];
  /** The processor time of all processes, in microseconds. */
  cpu(): Promise<number>;
  end(): Promise<unknown>;
}

async function onOwnPorts(count: number, redisUrl: string): Promise<Nodes> {
  const servers: Server[] = [];
  const options = { connections: CONNECTIONS, redisUrl };
  while (servers.length < count) {
    servers.push(await Server.start(candidateNamed(CANDIDATE), options));
  }
  return {
    ports: servers.map(({ port }) => port),
    cpu: async () => {
      const each = await Promise.all(servers.map((server) => server.call('cpu')));
      return each.reduce((sum, us) => sum + us, 0);
    },
    end: () => Promise.all(servers.map((server) => server.end())),
  };
}

async function onOnePort(count: number, redisUrl: string): Promise<Nodes> {
  const module = new URL('../processes/clustered.process.js', import.meta.url);
  const primary = new Remote<ClusteredMethods>(module);
  const options = { connections: CONNECTIONS, redisUrl };
  const port = await primary.call('start', count, CANDIDATE, options);
  return {
    // As often as there are processes: the connections are divided in the same way as with ports of their own.
    ports: Array.from({ length: count }, () => port),
    cpu: () => primary.call('cpu'),
    end: () => primary.end(),
  };
}

const starts: Readonly<Record<ScaleWay, (redisUrl: string) => Promise<Nodes>>> = {
  'one process': (url) => onOwnPorts(1, url),
  'two processes, a port each': (url) => onOwnPorts(2, url),
  'two processes of node:cluster': (url) => onOnePort(2, url),
};

/** The cost of a message and of a connection where one machine has one process or two, with Redis. */
export const scaling: Measure = {
  name: 'scaling',
  run: (bench) => withRedis('scaling', ({ url }) => measureWays(bench, url)),
};

async function measureWays(bench: Bench, redisUrl: string): Promise<void> {
  const { settings, results } = bench;
  const load = startLoad();
  const ways: { readonly way: ScaleWay; readonly nodes: Nodes }[] = [];
  try {
    for (const way of ScaleWays) {
      const nodes = await starts[way](redisUrl);
      ways.push({ way, nodes });
      await open(load, way, nodes);
    }
    const durationMs = settings.isQuick ? 300 : 1_000;
    const count = settings.isQuick ? 500 : 2_000;
    // The first rounds warm up.
    await interleave(settings.rounds + 2, ways, async ({ way, nodes }, round) => {
      bench.progress(`scaling, round ${round}, ${way}`);
      const before = await nodes.cpu();
      const { messages } = await load.call('echo', way, { bytes: BYTES, durationMs, window: 1 });
      const after = await nodes.cpu();
      await openAndClose(load, nodes, count);
      const cpuUs = (await nodes.cpu()) - after;
      if (round < 2) return;
      results.add(metrics.scaledEchoCpu(), way, (after - before) / messages);
      results.add(metrics.scaledConnectCpu(), way, cpuUs / count);
    });
  } finally {
    await Promise.all([load.end(), ...ways.map(({ nodes }) => nodes.end())]);
  }
}

async function open(load: Remote<LoadMethods>, way: ScaleWay, { ports }: Nodes): Promise<void> {
  const count = CONNECTIONS / ports.length;
  for (const port of ports) {
    await load.call('open', way, { port, protocol: 'plain', count, concurrency: CONCURRENCY });
  }
}

async function openAndClose(
  load: Remote<LoadMethods>,
  { ports }: Nodes,
  connections: number,
): Promise<void> {
  const crowd = { protocol: 'plain', count: connections / ports.length } as const;
  const concurrency = CONCURRENCY / ports.length;
  const opened = ports.map((port) => load.call('openAndClose', { ...crowd, port, concurrency }));
  await Promise.all(opened);
  await pause(SETTLE_MS);
}
