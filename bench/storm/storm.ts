import { setTimeout as pause } from 'node:timers/promises';

import { Proxy, type ProxyName } from '../../lab/proxy.js';
import { Remote } from '../../lab/remote.js';
import { percentile } from '../statistics.js';
import { PATH, type StormCandidate, type StormEvent } from './candidates.js';
import type { CrowdMethods, CrowdState } from './clients.process.js';
import { Fleet } from './fleet.js';
import type { StormSettings } from './settings.js';
import type { TurnDelay } from './turn-delays.js';

/** Clients whose messages are measured, in a process of their own, and their messages per second. */
const PROBES = 60;
const PROBES_PER_SECOND = 200;
const CALM_MS = 5_000;
const LOOK_MS = 200;
/** A storm that is not over by then has failed. */
const LONGEST_MS = 180_000;

type Clients = Remote<CrowdMethods>;

/** The outcome of one storm. */
export interface StormResult {
  readonly proxy: ProxyName;
  readonly event: StormEvent;
  readonly candidate: string;
  /** Clients that lost their connection. */
  readonly cut: number;
  /** Those that were not served again in time. */
  readonly missing: number;
  /** Until the last one was served again. */
  readonly allServedMs: number;
  /** What the rate of admission predicts; `undefined` without admission. */
  readonly predictedMs: number | undefined;
  /** The most in one second. */
  readonly mostPerSecond: number;
  readonly failedAttempts: number;
  /** Of messages of clients that kept their connection, in milliseconds. `undefined` where no client kept one. */
  readonly calmP99: number;
  readonly stormP99: number | undefined;
  /** How long messages waited in the nodes during the storm: in the node where they waited longest. */
  readonly nodeDelay: TurnDelay;
  /** How long answers waited in the process that measures. */
  readonly probeDelay: TurnDelay;
  /** What the clients that were not served again in time were doing. */
  readonly whereabouts: readonly string[];
  readonly cpuMs: number;
  readonly mostMb: number;
  /** When clients were served again, in milliseconds since the beginning, sorted. */
  readonly servedAt: readonly number[];
}

/** Lets one storm pass over a fleet behind a proxy, and ends all processes. */
export async function storm(
  settings: StormSettings,
  proxyName: ProxyName,
  event: StormEvent,
  candidate: StormCandidate,
): Promise<StormResult> {
  const { perSecond, burst, spreadMs } = settings;
  await using fleet = await Fleet.start({ candidate: candidate.name, perSecond, burst, spreadMs });
  await using proxy = await Proxy.start(proxyName, settings.guide, fleet.ports);
  const crowds = Array.from({ length: settings.processes + 1 }, startCrowd);
  try {
    const url = `ws://127.0.0.1:${proxy.port}${PATH}`;
    await openAll(crowds, url, settings, candidate);
    const [probes] = crowds as [Clients];
    await probes.call('startAsking', PROBES_PER_SECOND);
    await pause(1_000);
    await probes.call('latencies');
    await pause(CALM_MS);
    const calmP99 = percentile(await probes.call('latencies'), 0.99);

    const victims = new Set(fleet.victims(event));
    const expected = await countOn(crowds, victims);
    await Promise.all(crowds.map((crowd) => crowd.call('begin')));
    await fleet.begin();
    await Promise.all([fleet.delays(), probes.call('delays')]);
    const startedAt = Date.now();
    const passed = fleet.suffer(event).then(() => Date.now() - startedAt);
    const state = await untilServed(crowds, expected, settings, startedAt);
    const latencies = await probes.call('latencies');
    const probeDelay = await probes.call('delays');
    const upMs = await passed;
    const nodeDelay = await fleet.delays();
    const served = (await Promise.all(crowds.map((crowd) => crowd.call('servedAt')))).flat();
    const servedAt = served.map((at) => at - startedAt).toSorted((a, b) => a - b);
    return {
      proxy: proxyName,
      event,
      candidate: candidate.name,
      cut: state.cut,
      missing: total(settings) - state.served,
      allServedMs: servedAt.at(-1) ?? 0,
      predictedMs: candidate.admission && predicted(state.cut, upMs, settings, event),
      mostPerSecond: mostPerSecond(servedAt),
      failedAttempts: state.failed,
      calmP99,
      stormP99: event === 'all' ? undefined : percentile(latencies, 0.99),
      nodeDelay,
      probeDelay,
      whereabouts: await whereaboutsIn(crowds),
      ...(await fleet.usage()),
      servedAt,
    };
  } finally {
    await Promise.all(crowds.map((crowd) => crowd.end()));
  }
}

function startCrowd(): Clients {
  return new Remote(new URL('./clients.process.js', import.meta.url));
}

function total({ clients }: StormSettings): number {
  return clients + PROBES;
}

/** Arrivals per second before the storm, without admission. With it, they are slow enough that nobody is refused. */
const OPENING_PER_SECOND = 400;

// The first crowd are the probes.
async function openAll(
  crowds: readonly Clients[],
  url: string,
  settings: StormSettings,
  { isOurs, admission }: StormCandidate,
): Promise<void> {
  const { clients, processes, perSecond } = settings;
  const each = Math.ceil(clients / processes);
  const openingPerSecond = admission ? perSecond * 2.4 : OPENING_PER_SECOND;
  await Promise.all(
    crowds.map((crowd, number) =>
      crowd.call('open', {
        url,
        isOurs,
        number,
        isMeasured: number === 0,
        count: number === 0 ? PROBES : Math.min(each, clients - (number - 1) * each),
        perSecond: openingPerSecond / crowds.length,
      }),
    ),
  );
  const startedAt = Date.now();
  while ((await stateOf(crowds)).served < total(settings)) {
    if (Date.now() - startedAt > LONGEST_MS) {
      const missing = await whereaboutsIn(crowds);
      throw new Error(
        `Before the storm, ${missing.length} clients have no answer: ${missing.slice(0, 20).join('; ')}`,
      );
    }
    await pause(LOOK_MS);
  }
}

async function whereaboutsIn(crowds: readonly Clients[]): Promise<string[]> {
  return (await Promise.all(crowds.map((crowd) => crowd.call('whereabouts')))).flat();
}

async function stateOf(crowds: readonly Clients[]): Promise<CrowdState> {
  const states = await Promise.all(crowds.map((crowd) => crowd.call('state')));
  return states.reduce((sum, { cut, served, failed }) => ({
    cut: sum.cut + cut,
    served: sum.served + served,
    failed: sum.failed + failed,
  }));
}

async function countOn(crowds: readonly Clients[], nodes: ReadonlySet<number>): Promise<number> {
  const counts = await Promise.all(crowds.map((crowd) => crowd.call('nodes')));
  return counts
    .flatMap((each) => Object.entries(each))
    .reduce((sum, [node, count]) => sum + (nodes.has(Number(node)) ? count : 0), 0);
}

async function untilServed(
  crowds: readonly Clients[],
  expected: number,
  settings: StormSettings,
  startedAt: number,
): Promise<CrowdState> {
  for (;;) {
    const state = await stateOf(crowds);
    if (state.cut >= expected && state.served === total(settings)) return state;
    if (Date.now() - startedAt > LONGEST_MS) return state;
    await pause(LOOK_MS);
  }
}

// Each node that runs has a burst, and serves those beyond it at its rate. Where no node runs, the queue begins when all
// are up again. A drain that is spread takes as long as it is spread.
function predicted(
  cut: number,
  upMs: number,
  { perSecond, burst, spreadMs }: StormSettings,
  event: StormEvent,
): number {
  const nodes = event === 'all' ? 3 : 2;
  const queueMs = (Math.max(0, cut - nodes * burst) / (nodes * perSecond)) * 1_000;
  if (event === 'all') return upMs + queueMs;
  return event === 'kill' ? queueMs : Math.max(spreadMs, queueMs);
}

function mostPerSecond(servedAt: readonly number[]): number {
  const seconds = new Map<number, number>();
  for (const at of servedAt) {
    const second = Math.floor(at / 1_000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
  }
  return Math.max(0, ...seconds.values());
}
