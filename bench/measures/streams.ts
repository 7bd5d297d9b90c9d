import { setTimeout as pause } from 'node:timers/promises';

import { STREAM_CHUNK_BYTES } from '../candidates/candidate.js';
import { ItemWays, metrics, StreamMemory } from '../metrics.js';
import { type Bench, interleave, type Measure, withFleet } from './measure.js';

const CANDIDATE = 'isolated-injected';
const CONNECTIONS = 64;
const [SEND, STREAM] = ItemWays;
const EVENTS = { [SEND]: 'send', [STREAM]: 'stream' } as const;

const STREAMS = 200;
const MIB = 1_048_576;
const BYTES_PER_SECOND = MIB;
/** What streams may add to the memory of the process. */
const ALLOWED_MIB = 64;
const [IDLE, STREAMING] = StreamMemory;

/** The cost of an item of a stream, and the memory of many streams to slow readers. */
export const streams: Measure = {
  name: 'streams',
  async run(bench) {
    await measureItems(bench);
    if (!bench.profiles) await weighStreams(bench);
  },
};

async function measureItems(bench: Bench): Promise<void> {
  const { settings, results } = bench;
  const candidates = settings.candidates.filter(({ name }) => name === CANDIDATE);
  const items = settings.isQuick ? 100 : 400;
  await withFleet(bench, candidates, { connections: CONNECTIONS }, async ({ servers, load }) => {
    const [server] = servers;
    if (!server) return;
    const { port } = server;
    const crowd = { port, protocol: 'plain', count: CONNECTIONS, concurrency: 8 } as const;
    await load.call('open', CANDIDATE, crowd);
    await interleave(settings.rounds + 2, ItemWays, async (way, round) => {
      bench.progress(`items, round ${round}, ${way}`);
      const message = { event: EVENTS[way], data: items, id: 1 };
      // One more: the end of the stream, and the acknowledgement of the handler that sends.
      const work = (): Promise<void> => load.call('exchange', CANDIDATE, message, items + 1);
      const { cpuUs } = await server.cpuOf(`items-${EVENTS[way]}`, work);
      // The first rounds warm up.
      if (round > 1) results.add(metrics.itemCpu(), way, cpuUs / items / CONNECTIONS);
    });
  });
}

async function weighStreams(bench: Bench): Promise<void> {
  const { settings, results } = bench;
  const candidates = settings.candidates.filter(({ name }) => name === CANDIDATE);
  const mib = settings.isQuick ? 5 : 100;
  const chunks = (mib * MIB) / STREAM_CHUNK_BYTES;
  await withFleet(bench, candidates, { connections: STREAMS }, async ({ servers, load }) => {
    const [server] = servers;
    if (!server) return;
    const { port } = server;
    const crowd = { port, protocol: 'plain', count: STREAMS, concurrency: 8 } as const;
    await load.call('open', CANDIDATE, crowd);
    // Each connection once, so that its code is compiled.
    await load.call('exchange', CANDIDATE, { event: 'chunks', data: 1, id: 1 }, 2);
    const idle = (await server.call('memory')).rss;
    await load.call('readSlowly', CANDIDATE, BYTES_PER_SECOND);
    const message = { event: 'chunks', data: chunks, id: 1 };
    const ended = load.call('exchange', CANDIDATE, message, chunks + 1).then(() => true);
    let most = 0;
    for (let isOver = false; !isOver; isOver = await Promise.race([ended, pause(1_000, false)])) {
      most = Math.max(most, await server.call('resident'));
      const more = Math.round((most - idle) / MIB);
      bench.progress(`${STREAMS} streams of ${mib} MiB, ${more} MiB more`);
    }
    results.add(metrics.streamMemory(), IDLE, idle / MIB + ALLOWED_MIB);
    results.add(metrics.streamMemory(), STREAMING, most / MIB);
  });
}
