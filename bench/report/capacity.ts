import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { format, resolveConfig } from 'prettier';

import { metrics, ScaleWays, SlotWays } from '../metrics.js';
import type { Series } from '../results.js';
import { formatted } from './terminal.js';

const GUIDE = new URL('../../../docs/guide/scaling.md', import.meta.url);
const [BEGIN, END] = ['<!-- capacity -->', '<!-- /capacity -->'];

const OURS = 'isolated-injected';
const [ONE_PROCESS] = ScaleWays;
const [, SLOT] = SlotWays;
const RENEWED = 100_000;
/** The default of `renewMs`: each node tells Redis this often which slots it still has. */
const RENEW_SECONDS = 10;
const PINGED = 10_000;

/** A core that is busier has no room for a peak, and makes its clients wait. */
const BUSY = 0.6;
const MICROSECONDS = 1e6 * BUSY;

const MILLION = 1_000_000;
/** What each of the million connections does. */
const SECONDS_BETWEEN_MESSAGES = 30;
const SECONDS_CONNECTED = 3_600;
/** Memory of a machine with as many gigabytes for each core as general machines in clouds have. */
const GB_PER_CORE = 4;

/** Cores for work of this many microseconds per second. */
function cores(us: number): number {
  return us / MICROSECONDS;
}

function inCores(us: number): string {
  return formatted(cores(us), 1);
}

function perCore(us: number): string {
  return formatted(MICROSECONDS / us, 0);
}

/** Finds the median of a metric. */
type Find = (metricId: string, subject: string) => number;

/** Writes what a core carries into the guide, where everything that this needs was measured. */
export async function writeCapacity(
  series: readonly Series[],
  idle: readonly number[],
): Promise<void> {
  const find = (metricId: string, subject: string): number =>
    series.find(({ metric }) => metric.id === metricId)?.subjects.get(subject)?.median ?? NaN;
  const text = capacity(find, Math.max(...idle));
  if (text.includes('NaN')) {
    console.error('docs/guide/scaling.md stays as it is: not everything was measured.');
    return;
  }
  const file = fileURLToPath(GUIDE);
  const guide = await readFile(file, 'utf8');
  const [before, rest] = guide.split(BEGIN) as [string, string];
  const after = rest.split(END)[1]!;
  const style = await resolveConfig(file);
  const whole = [before, BEGIN, '\n\n', text, '\n\n', END, after].join('');
  await writeFile(file, await format(whole, { ...style, parser: 'markdown' }));
}

function capacity(find: Find, idle: number): string {
  const echo = find(metrics.scaledEchoCpu().id, ONE_PROCESS);
  const connect = find(metrics.scaledConnectCpu().id, ONE_PROCESS);
  const delivery = find(metrics.deliveryCpu().id, 'toUser');
  const member = find(metrics.topicCpu().id, OURS);
  const pingedPerSecond = (find(metrics.heartbeatCpu(PINGED).id, OURS) * 1000) / PINGED;
  const renewal = (find(metrics.renewalCpu(RENEWED).id, SLOT) * 1000) / RENEWED;
  const resident = find(metrics.idleRss(idle).id, OURS);
  return [
    rows(
      [
        'One machine with two cores, 1,000 connections',
        'A message and its answer',
        'A connection that comes and goes',
      ],
      ScaleWays.map((way) => [
        way,
        `${formatted(find(metrics.scaledEchoCpu().id, way), 1)} µs`,
        `${formatted(find(metrics.scaledConnectCpu().id, way), 0)} µs`,
      ]),
    ),
    rows(
      ['Work of a node', 'Processor time', `A core carries, at ${BUSY * 100} %`],
      [
        [
          'a message of 64 bytes and its answer',
          `${formatted(echo, 1)} µs`,
          `${perCore(echo)} per second`,
        ],
        [
          'a connection that comes and goes, with its slot in Redis',
          `${formatted(connect, 0)} µs`,
          `${perCore(connect)} per second`,
        ],
        [
          'a message to a user of another node, both nodes together',
          `${formatted(delivery, 1)} µs`,
          `${perCore(delivery)} per second`,
        ],
        [
          'a delivery to one of the 1,000 members of a topic',
          `${formatted(member, 2)} µs`,
          `${perCore(member)} per second`,
        ],
        [
          'an idle connection: a ping each 25 s, its slot renewed each 10 s',
          `${formatted(pingedPerSecond + renewal / RENEW_SECONDS, 1)} µs per second`,
          `${perCore(pingedPerSecond + renewal / RENEW_SECONDS)} connections`,
        ],
        [
          'memory of an idle connection, without that of the kernel',
          `${formatted(resident, 1)} KB`,
          `${formatted((GB_PER_CORE * 1e6 * BUSY) / resident, 0)} connections in ${GB_PER_CORE} GB`,
        ],
      ],
    ),
    million(find, { echo, connect, idleUs: pingedPerSecond + renewal / RENEW_SECONDS, resident }),
  ].join('\n\n');
}

interface Costs {
  readonly echo: number;
  readonly connect: number;
  /** Of an idle connection, in microseconds per second. */
  readonly idleUs: number;
  /** Kilobytes. */
  readonly resident: number;
}

function million(find: Find, { echo, connect, idleUs, resident }: Costs): string {
  const messages = MILLION / SECONDS_BETWEEN_MESSAGES;
  const arrivals = MILLION / SECONDS_CONNECTED;
  const all = cores(messages * echo) + cores(arrivals * connect) + cores(MILLION * idleUs);
  const memory = (MILLION * resident) / 1e6;
  const renewals = MILLION / RENEW_SECONDS;
  const redisUs = (find(metrics.renewalRedisCpu(RENEWED).id, SLOT) * 1000) / RENEWED;
  const taken = find(metrics.slotRedisCpu().id, SLOT);
  const redis = cores(renewals * redisUs) + cores(arrivals * taken);
  const bytes = find(metrics.slotRedisBytes().id, SLOT);
  return [
    `A million connections, each with a message and an answer every ${SECONDS_BETWEEN_MESSAGES} seconds, and connected for an hour:`,
    rows(
      ['What', 'How often', `Cores at ${BUSY * 100} %`],
      [
        ['messages and answers', `${formatted(messages, 0)} per second`, inCores(messages * echo)],
        ['arrivals', `${formatted(arrivals, 0)} per second`, inCores(arrivals * connect)],
        [
          'pings, and renewals of slots',
          `${formatted(MILLION / 25, 0)} and ${formatted(renewals, 0)} per second`,
          inCores(MILLION * idleUs),
        ],
        ['all nodes together', `${formatted(memory, 0)} GB`, `**${formatted(Math.ceil(all), 0)}**`],
        [
          'Redis: slots taken and renewed',
          `${formatted((MILLION * bytes) / 1e6, 0)} MB`,
          `**${formatted(Math.ceil(redis), 0)}**`,
        ],
      ],
    ),
    `So that a node can be lost, or replaced by a deploy, and the others take its clients: ${formatted(Math.ceil(all), 0)} processes at ${BUSY * 100} % and one more for each ten. Redis uses one core for commands, so ${redis > 1 ? `one Redis is not enough: a Redis Cluster of ${formatted(Math.ceil(redis), 0)} masters divides the slots by user` : 'one Redis is enough'}. Messages between nodes, topics with history and your own code come on top: multiply their rates with the table above.`,
  ].join('\n\n');
}

function rows(header: readonly string[], cells: readonly (readonly string[])[]): string {
  const rule = header.map((_, column) => (column === 0 ? '---' : '--:'));
  return [header, rule, ...cells].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
