import {
  ArrivalWays,
  AskWays,
  BootWays,
  CrowdSizes,
  DeliveryWays,
  EchoSizes,
  ItemWays,
  liveManagers,
  MembershipWays,
  type Metric,
  metrics,
  NodeLines,
  RequestWays,
  SlotCycleWays,
  StreamMemory,
  TopicsEach,
} from './metrics.js';
import type { Results } from './results.js';
import { type Summary, summarise } from './statistics.js';

/** Whether a ratio was measured and is above its promised limit. */
export function isBroken({ measured, limit }: Ratio): boolean {
  return measured !== undefined && measured > limit;
}

/** A promise of the library: the ratio of two subjects is at most `limit`. */
interface Promised {
  readonly title: string;
  readonly against: string;
  readonly metricId: string;
  readonly subject: string;
  readonly other: string;
  readonly limit: number;
}

/** A promise and the measured ratio. */
export interface Ratio extends Promised {
  /** The ratio of the medians; `undefined` if either subject was not measured. */
  readonly measured: number | undefined;
  /** The ratios round by round. Within a round, both subjects ran within a few seconds. */
  readonly rounds: Summary | undefined;
}

/** On Node 24, `AsyncLocalStorage` needs no hooks. */
const NODE_LIMITS = { 20: 1.05, 22: 1.05, 24: 1.02 } as const;
const INJECTED = 'isolated-injected';

function promises(): Promised[] {
  return [
    ...echoPromises(),
    ...connectionPromises(),
    ...refusalPromises(),
    {
      title: 'Fan-out to 1,000',
      against: 'a loop of ws.send over one prepared frame',
      metricId: metrics.fanOutCpu().id,
      subject: INJECTED,
      other: 'bare-ws',
      limit: 1.1,
    },
    bootPromise(),
    ...callPromises(),
    ...topicPromises(),
    ...clusterPromises(),
    {
      title: 'Sweep that removes nothing, 1,000,000 managers',
      against: 'the same at 1,000',
      metricId: metrics.sweep().id,
      subject: liveManagers(1_000_000),
      other: liveManagers(1_000),
      limit: 2,
    },
    {
      title: 'Create, touch and dispose of a manager, 1,000,000 live',
      against: 'the same at 1,000 live',
      metricId: metrics.cycleCpu().id,
      subject: liveManagers(1_000_000),
      other: liveManagers(1_000),
      limit: 1.5,
    },
  ];
}

/** A promise about connections whose services are injected, against a bare `ws` server. */
function besideBareWs(title: string, metric: Metric, limit: number): Promised {
  const against = 'bare ws + JSON';
  return { title, against, metricId: metric.id, subject: INJECTED, other: 'bare-ws', limit };
}

function echoPromises(): Promised[] {
  const metricId = metrics.echoCpu(64).id;
  return [
    ...EchoSizes.map((bytes) =>
      besideBareWs(
        metrics.echoCpu(bytes).title,
        metrics.echoCpu(bytes),
        bytes < 1024 ? 1.05 : 1.08,
      ),
    ),
    ...NodeLines.map((line) =>
      besideBareWs(metrics.echoCpuOn(line).title, metrics.echoCpuOn(line), NODE_LIMITS[line]),
    ),
    ...CrowdSizes.map((bytes) =>
      besideBareWs(metrics.crowdCpu(bytes).title, metrics.crowdCpu(bytes), 1.15),
    ),
    besideBareWs(
      'CPU per echo, 64 B, the same crowd, the first 10,000 messages',
      metrics.coldCrowdCpu(64),
      1.2,
    ),
    besideBareWs(metrics.deflatedCpu(4096).title, metrics.deflatedCpu(4096), 1.08),
    besideBareWs(metrics.latency('p99', 2_000).title, metrics.latency('p99', 2_000), 1.15),
    {
      title: 'CPU per echo, per-connection injection',
      against: 'Nest request-scoped on WsAdapter',
      metricId,
      subject: INJECTED,
      other: 'nest-request-scoped',
      limit: 0.48,
    },
    {
      title: 'CPU per echo, singleton gateway with parameters',
      against: 'Nest singleton on WsAdapter',
      metricId,
      subject: 'isolated-singleton',
      other: 'nest-singleton',
      limit: 0.6,
    },
    {
      title: 'CPU per echo with guard, pipe and interceptor',
      against: 'the same on a Nest singleton',
      metricId,
      subject: 'isolated-enhanced',
      other: 'nest-enhanced',
      limit: 0.5,
    },
  ];
}

function connectionPromises(): Promised[] {
  const connect = 'CPU per connect and close, authenticated, scope built and disposed';
  const heap = 'Heap per idle connection, per-connection injection';
  return [
    besideBareWs(connect, metrics.connectCpu(), 1.3),
    {
      title: connect,
      against: 'Nest request-scoped on WsAdapter',
      metricId: metrics.connectCpu().id,
      subject: INJECTED,
      other: 'nest-request-scoped',
      limit: 0.6,
    },
    besideBareWs(heap, metrics.idleHeap(10_000), 1.5),
    {
      title: heap,
      against: 'Nest singleton on WsAdapter',
      metricId: metrics.idleHeap(10_000).id,
      subject: INJECTED,
      other: 'nest-singleton',
      limit: 0.5,
    },
    besideBareWs(metrics.idleRss(50_000).title, metrics.idleRss(50_000), 1.25),
  ];
}

function refusalPromises(): Promised[] {
  const [accepted, ...refused] = ArrivalWays;
  return refused.map((subject) => ({
    title: `CPU per arrival, ${subject}`,
    against: 'an arrival that connects and closes',
    metricId: metrics.arrivalCpu().id,
    subject,
    other: accepted,
    limit: 0.5,
  }));
}

function bootPromise(): Promised {
  const [stock, isolated] = BootWays;
  return {
    title: 'CPU from the start of the process until 20 gateways listen',
    against: 'the same gateways on stock Nest',
    metricId: metrics.bootCpu().id,
    subject: isolated,
    other: stock,
    limit: 1.25,
  };
}

function callPromises(): Promised[] {
  const [echo, request, emitWithAck] = RequestWays;
  const [askByHand, ask] = AskWays;
  const [send, streamed] = ItemWays;
  const [idle, streaming] = StreamMemory;
  return [
    {
      title: 'CPU per request with an id and its reply',
      against: 'our echo without an id',
      metricId: metrics.requestCpu().id,
      subject: request,
      other: echo,
      limit: 1.05,
    },
    {
      title: 'CPU per request with an id and its reply',
      against: 'emitWithAck of Socket.IO',
      metricId: metrics.requestCpu().id,
      subject: request,
      other: emitWithAck,
      limit: 0.45,
    },
    {
      title: 'CPU per question to a client and its answer',
      against: 'a Map and timers by hand, on bare ws',
      metricId: metrics.askCpu().id,
      subject: ask,
      other: askByHand,
      limit: 1.25,
    },
    {
      title: 'CPU per streamed item of 20 bytes',
      against: 'manager.send of it',
      metricId: metrics.itemCpu().id,
      subject: streamed,
      other: send,
      limit: 1.35,
    },
    {
      title: 'Resident memory, 200 streams of 100 MiB to readers at 1 MiB/s',
      against: 'the same process idle, and 64 MiB',
      metricId: metrics.streamMemory().id,
      subject: streaming,
      other: idle,
      limit: 1,
    },
  ];
}

function clusterPromises(): Promised[] {
  const [byHand, toUser, , , socketIo] = DeliveryWays;
  const [setAndDelete, slot] = SlotCycleWays;
  const delivery = { title: metrics.deliveryCpu().title, metricId: metrics.deliveryCpu().id };
  return [
    {
      title: metrics.slotCycleCpu().title,
      against: 'a SET and a DEL of the same client',
      metricId: metrics.slotCycleCpu().id,
      subject: slot,
      other: setAndDelete,
      limit: 1.6,
    },
    { ...delivery, against: 'PUBLISH by hand', subject: toUser, other: byHand, limit: 1.3 },
    {
      ...delivery,
      against: 'a room of Socket.IO with its Redis adapter, as documented',
      subject: toUser,
      other: socketIo,
      limit: 0.6,
    },
  ];
}

function topicPromises(): Promised[] {
  const subject = INJECTED;
  const [byHand, ours] = MembershipWays;
  const beside = 'a Map of Sets by hand';
  return [
    {
      title: 'CPU per delivery to a topic of 1,000',
      against: 'a loop of ws.send over one prepared frame',
      metricId: metrics.topicCpu().id,
      subject,
      other: 'bare-ws',
      limit: 1.1,
    },
    {
      title: 'CPU per delivery to a topic of 1,000',
      against: 'a room of Socket.IO',
      metricId: metrics.topicCpu().id,
      subject,
      other: 'nest-socket-io',
      limit: 0.6,
    },
    {
      title: 'CPU of two nodes per delivery to a topic',
      against: 'Socket.IO with its Redis adapter',
      metricId: metrics.sharedTopicCpu(false).id,
      subject,
      other: 'nest-socket-io',
      limit: 0.6,
    },
    {
      title: 'CPU of two nodes per delivery to a topic with history',
      against: 'Socket.IO with its Redis Streams adapter',
      metricId: metrics.sharedTopicCpu(true).id,
      subject,
      other: 'nest-socket-io',
      limit: 0.7,
    },
    {
      title: 'Join and leave a topic',
      against: beside,
      metricId: metrics.membershipCpu().id,
      subject: ours,
      other: byHand,
      limit: 3,
    },
    ...TopicsEach.map((each) => ({
      title: `Heap per membership, ${each} for each connection`,
      against: beside,
      metricId: metrics.membershipHeap(each).id,
      subject: ours,
      other: byHand,
      limit: 2.5,
    })),
  ];
}

export function ratiosOf(results: Results): Ratio[] {
  return promises().map((promised) => measure(promised, results));
}

function measure(promised: Promised, results: Results): Ratio {
  const subject = results.summary(promised.metricId, promised.subject);
  const other = results.summary(promised.metricId, promised.other);
  if (!subject || !other) return { ...promised, measured: undefined, rounds: undefined };
  const rounds = subject.values.map((value, round) => value / other.values[round]!);
  return { ...promised, measured: subject.median / other.median, rounds: summarise(rounds) };
}
