/** A measured quantity and its unit. */
export interface Metric {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
}

export const EchoSizes = [64, 1024, 4096, 16_384] as const;
/** The sizes of the messages of a crowd: {@link metrics.crowdCpu}. */
export const CrowdSizes = [64, 4096] as const;
/** The lines of Node.js on which echoes are compared. */
export const NodeLines = ['20', '22', '24'] as const;
export const ManagerCounts = [1_000, 10_000, 100_000, 1_000_000] as const;

/** A plain Redis command, and the library's slot. */
export const SlotWays = ['plain SET', 'slot'] as const;
/** The same, with what ends it. */
export const SlotCycleWays = ['SET and DEL', 'slot taken and given back'] as const;
/** What may become of an arrival. */
export const ArrivalWays = [
  'accepted',
  'refused with 503, rate of the process',
  'refused with 429, rate of the address',
] as const;
export type ArrivalWay = (typeof ArrivalWays)[number];
/**
 * The ways to send a message to another node. Their clients of Redis set no timer for each command, as the library's
 * does not; that of the last one does, because that is the default of the `redis` package.
 */
export const DeliveryWays = [
  'PUBLISH by hand',
  'toUser',
  'toThread, resume',
  'room of Socket.IO',
  'room of Socket.IO, default client',
] as const;
export type DeliveryWay = (typeof DeliveryWays)[number];
/** The ways to keep which connections are in which topic. */
export const MembershipWays = ['Map of Sets by hand', 'join, leave'] as const;
export type MembershipWay = (typeof MembershipWays)[number];
/** The ways to send a message and get its answer. */
export const RequestWays = [
  'echo without id',
  'request with id',
  'emitWithAck of Socket.IO',
] as const;
export type RequestWay = (typeof RequestWays)[number];
/** The ways to ask a client. */
export const AskWays = ['Map and timers by hand', 'manager.ask'] as const;
/** The ways to send many items. */
export const ItemWays = ['manager.send', 'async *'] as const;
/** On what an app of twenty gateways boots. */
export const BootWays = ['stock Nest, WsAdapter', 'isolated'] as const;
/** What resident memory is compared with: that of the same process, and what streams may add. */
export const StreamMemory = ['idle, and 64 MiB', 'streaming'] as const;
/** The processes of one machine. */
export const ScaleWays = [
  'one process',
  'two processes, a port each',
  'two processes of node:cluster',
] as const;
export type ScaleWay = (typeof ScaleWays)[number];
/** The numbers of topics that each connection is in. */
export const TopicsEach = [1, 3, 10] as const;

const sizeName = (bytes: number): string => (bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`);
export const inThousands = (count: number): string => count.toLocaleString('en');

export const metrics = {
  echoCpu: (bytes: number): Metric => ({
    id: `echo.${bytes}.cpu`,
    title: `CPU per echo, ${sizeName(bytes)}`,
    unit: 'µs',
    digits: 1,
  }),
  echoRate: (bytes: number): Metric => ({
    id: `echo.${bytes}.rate`,
    title: `Echoes per second, ${sizeName(bytes)}`,
    unit: '1/s',
    digits: 0,
  }),
  echoCpuOn: (line: string): Metric => ({
    id: `echo.64.cpu.node-${line}`,
    title: `CPU per echo, ${sizeName(64)}, Node ${line}`,
    unit: 'µs',
    digits: 1,
  }),
  deflatedCpu: (bytes: number): Metric => ({
    id: 'deflate.cpu',
    title: `CPU per compressed echo, ${sizeName(bytes)}`,
    unit: 'µs',
    digits: 1,
  }),
  crowdCpu: (bytes: number): Metric => ({
    id: `crowd.${bytes}.cpu`,
    title: `CPU per echo, ${sizeName(bytes)}, 1,000 open, 200 in flight, one core`,
    unit: 'µs',
    digits: 1,
  }),
  coldCrowdCpu: (bytes: number): Metric => ({
    id: `crowd.${bytes}.cold.cpu`,
    title: `The same, ${sizeName(bytes)}, the first 10,000 messages of a server`,
    unit: 'µs',
    digits: 1,
  }),
  latency: (percentile: 'p50' | 'p99', perSecond: number): Metric => ({
    id: `latency.${percentile}`,
    title: `Latency ${percentile} at ${inThousands(perSecond)} messages per second`,
    unit: 'ms',
    digits: 2,
  }),
  delivery: (percentile: 'p50' | 'p99', perSecond: number): Metric => ({
    id: `delivery.${percentile}`,
    title: `From node to node, ${percentile} at ${inThousands(perSecond)} messages per second`,
    unit: 'ms',
    digits: 2,
  }),
  deliveryCpu: (): Metric => ({
    id: 'delivery.cpu',
    title: 'CPU of both nodes per message to one user of the other node',
    unit: 'µs',
    digits: 1,
  }),
  deliveryRedisCpu: (): Metric => ({
    id: 'delivery.redis.cpu',
    title: 'CPU of Redis per message to one user of the other node',
    unit: 'µs',
    digits: 1,
  }),
  echoCode: (): Metric => ({
    id: 'code.echo',
    title: 'CPU per echo without the operating system, 64 B',
    unit: 'µs',
    digits: 2,
  }),
  connectCode: (): Metric => ({
    id: 'code.connect',
    title: 'CPU per connect and close without the operating system',
    unit: 'µs',
    digits: 1,
  }),
  connectCpu: (): Metric => ({
    id: 'connect.cpu',
    title: 'CPU per connect and close',
    unit: 'µs',
    digits: 0,
  }),
  bootCpu: (): Metric => ({
    id: 'boot.cpu',
    title: 'CPU from the start of the process until 20 gateways listen',
    unit: 'ms',
    digits: 0,
  }),
  bootAppCpu: (): Metric => ({
    id: 'boot.app.cpu',
    title: 'The same, without Node.js and the loading of modules',
    unit: 'ms',
    digits: 0,
  }),
  arrivalCpu: (): Metric => ({
    id: 'refusals.cpu',
    title: 'CPU per arrival, accepted and closed, or refused by admission',
    unit: 'µs',
    digits: 0,
  }),
  idleHeap: (connections: number): Metric => ({
    id: `idle.${connections}.heap`,
    title: `Heap per idle connection, ${inThousands(connections)} open`,
    unit: 'KB',
    digits: 2,
  }),
  idleRss: (connections: number): Metric => ({
    id: `idle.${connections}.rss`,
    title: `Resident memory per idle connection, ${inThousands(connections)} open`,
    unit: 'KB',
    digits: 2,
  }),
  usedHeap: (connections: number): Metric => ({
    id: `idle.${connections}.heap-after-echo`,
    title: `Heap per connection after one message each, ${inThousands(connections)} open`,
    unit: 'KB',
    digits: 2,
  }),
  fanOutCpu: (): Metric => ({
    id: 'fan-out.cpu',
    title: 'CPU of a message to 1,000 connections',
    unit: 'ms',
    digits: 2,
  }),
  topicCpu: (): Metric => ({
    id: 'topics.cpu',
    title: 'CPU per delivery to a topic of 1,000',
    unit: 'µs',
    digits: 2,
  }),
  sharedTopicCpu: (hasHistory: boolean): Metric => ({
    id: `topics.nodes.cpu${hasHistory ? '.history' : ''}`,
    title: `CPU of both nodes per delivery to a topic of 1,000 + 1,000${hasHistory ? ', with history' : ''}`,
    unit: 'µs',
    digits: 2,
  }),
  requestCpu: (): Metric => ({
    id: 'calls.request.cpu',
    title: 'CPU per message of 64 B and its answer',
    unit: 'µs',
    digits: 1,
  }),
  askCpu: (): Metric => ({
    id: 'calls.ask.cpu',
    title: 'CPU per question to a client and its answer',
    unit: 'µs',
    digits: 1,
  }),
  itemCpu: (): Metric => ({
    id: 'streams.item.cpu',
    title: 'CPU per item of 20 B that is streamed',
    unit: 'µs',
    digits: 2,
  }),
  streamMemory: (): Metric => ({
    id: 'streams.rss',
    title: 'Most resident memory with 200 streams to readers at 1 MiB per second',
    unit: 'MiB',
    digits: 0,
  }),
  membershipCpu: (): Metric => ({
    id: 'topics.membership.cpu',
    title: 'CPU of joining and leaving a topic, without sockets',
    unit: 'µs',
    digits: 2,
  }),
  membershipHeap: (each: number): Metric => ({
    id: `topics.membership.heap.${each}`,
    title: `Heap per membership, ${each} for each connection`,
    unit: 'B',
    digits: 0,
  }),
  cycle: (): Metric => ({
    id: 'managers.cycle',
    title: 'Create, touch and dispose of a manager without a socket',
    unit: 'µs',
    digits: 2,
  }),
  cycleCpu: (): Metric => ({
    id: 'managers.cycle-cpu',
    title: 'The same in processor time of all threads, garbage collector included',
    unit: 'µs',
    digits: 2,
  }),
  sweep: (): Metric => ({
    id: 'managers.sweep',
    title: 'Processor time of a sweep that removes nothing',
    unit: 'µs',
    digits: 2,
  }),
  heartbeatCpu: (connections: number): Metric => ({
    id: 'heartbeat.cpu',
    title: `CPU of ${inThousands(connections)} idle connections`,
    unit: 'ms/s',
    digits: 2,
  }),
  scaledEchoCpu: (): Metric => ({
    id: 'scaling.echo',
    title: 'CPU of all processes per echo, 64 B, 1,000 open, with Redis',
    unit: 'µs',
    digits: 1,
  }),
  scaledConnectCpu: (): Metric => ({
    id: 'scaling.connect',
    title: 'CPU of all processes per connect and close, a slot in Redis each',
    unit: 'µs',
    digits: 0,
  }),
  slotRate: (atOnce: number): Metric => ({
    id: 'slots.rate',
    title: `Slots taken per second from one node, ${inThousands(atOnce)} arrivals at once`,
    unit: '1/s',
    digits: 0,
  }),
  slotCpu: (): Metric => ({
    id: 'slots.cpu',
    title: 'CPU of the node per slot taken',
    unit: 'µs',
    digits: 1,
  }),
  slotRedisCpu: (): Metric => ({
    id: 'slots.redis.cpu',
    title: 'CPU of Redis per slot taken',
    unit: 'µs',
    digits: 1,
  }),
  slotRedisBytes: (): Metric => ({
    id: 'slots.redis.bytes',
    title: 'Memory of Redis per slot, two for each user',
    unit: 'B',
    digits: 0,
  }),
  renewalRedisCpu: (slots: number): Metric => ({
    id: 'slots.redis.renewal',
    title: `CPU of Redis for a renewal of ${inThousands(slots)} slots`,
    unit: 'ms',
    digits: 0,
  }),
  slotCycleCpu: (): Metric => ({
    id: 'slots.cycle.cpu',
    title: 'CPU of the node per slot taken and given back',
    unit: 'µs',
    digits: 1,
  }),
  slotLatency: (percentile: 'p50' | 'p99'): Metric => ({
    id: `slots.latency.${percentile}`,
    title: `Latency added to a connect by the cluster, ${percentile}`,
    unit: 'ms',
    digits: 3,
  }),
  renewal: (slots: number): Metric => ({
    id: 'slots.renewal',
    title: `Renewal of ${inThousands(slots)} slots`,
    unit: 'ms',
    digits: 0,
  }),
  renewalCpu: (slots: number): Metric => ({
    id: 'slots.renewal-cpu',
    title: `CPU of the node for a renewal of ${inThousands(slots)} slots`,
    unit: 'ms',
    digits: 0,
  }),
} as const;

/** The subject name for a number of managers: managers are compared with each other by their number. */
export function liveManagers(count: number): string {
  return `${inThousands(count)} live`;
}
