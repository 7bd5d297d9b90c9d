import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { format, resolveConfig } from 'prettier';

import { candidates } from '../candidates/candidate.js';
import { metrics } from '../metrics.js';
import type { Ratio } from '../ratios.js';
import type { Series } from '../results.js';
import type { Settings } from '../settings.js';
import { barChart, type Panel } from '../../lab/chart.js';
import { environment } from '../../lab/environment.js';
import { writeCapacity } from './capacity.js';
import { factorOf, formatted, titleOf } from './terminal.js';

/** The data of a report. */
export interface Measured {
  readonly settings: Settings;
  readonly series: readonly Series[];
  readonly ratios: readonly Ratio[];
}

// Compiled, this file is in dist-bench/bench/report.
const DOCS = new URL('../../../docs/', import.meta.url);

/** Writes `docs/benchmarks.md`, its chart, and what a core carries into the guide. */
export async function writeReport(measured: Measured): Promise<void> {
  const file = fileURLToPath(new URL('benchmarks.md', DOCS));
  const style = await resolveConfig(file);
  const text = await format(markdown(measured), { ...style, parser: 'markdown' });
  await writeFile(file, text);
  await writeFile(new URL('benchmarks.svg', DOCS), barChart(panels(measured)));
  await writeCapacity(measured.series, measured.settings.idle);
}

function markdown({ settings, series, ratios }: Measured): string {
  return [
    '# Benchmarks',
    '![CPU per echo, CPU per connect and close, and heap per idle connection](benchmarks.svg)',
    'Written by `npm run bench -- --report`. `npm run bench -- --help` lists all options.',
    '## How it is measured',
    method(settings),
    machine(),
    '## Ratios',
    ratioRows(ratios),
    ...series.flatMap((one) => [`## ${one.metric.title}`, seriesRows(one)]),
    '',
  ].join('\n\n');
}

function method({ rounds, idle }: Settings): string {
  return [
    `- Every server runs in its own process, and all clients run in another process. The measured value is the processor time of all threads of the server's process during the work.`,
    `- Processes are warmed up. Then all candidates run once in each of ${rounds} rounds (5 for latency, 3 for the heap of memberships, 2 for memory and heartbeat), and each round begins with a different candidate. Tables show the median, and the range in which the middle half of the rounds lies. The last column is the factor against the first line.`,
    `- An echo is \`{ "event", "data" }\` of 64 bytes to 16 KiB, in both directions, over 64 connections that wait for each reply before they send again. Servers are alone on one core, their clients on another. Latency is measured at a fixed rate that does not wait for replies.`,
    `- In a crowd, 1,000 connections are open and take turns, with 200 messages in flight. Servers and clients take turns on one core too, so that a server's caches are cold.`,
    `- Compressed echoes use \`permessage-deflate\` without context takeover, with the same options everywhere.`,
    `- The releases of Node.js are those of the package \`node\`, the newest one of each line.`,
    `- A slot is taken and given back over one Redis connection, with 100 at the same time; a \`SET\` and a \`DEL\` by hand use the same client in the same way. Messages to a user of another node are sent at 1,000 per second, to one client; by hand they are a \`PUBLISH\`, parsed, looked up in a \`Map\` of users and sent.`,
    `- One process, or two, on one machine: the processor time of all of them, for the same 1,000 connections, with one Redis.`,
    `- The start of an app is that of a new process, until it listens.`,
    `- All gateways have a \`handleConnection\`. Those with per-connection injection, Nest's and ours, have one more REQUEST-scoped service. With ours, this service is also disposed of.`,
    `- Ours runs at its defaults: authentication by a provider, origin check, thread check, heartbeat, bounds and statistics are on. The other candidates do not authenticate. These limits are raised: \`limits.maxManagersPerUser\` for the fan-out to 1,000 connections of one user, \`limits.maxManagers\` above 10,000 connections in one process, and for managers without sockets \`cleanup.unattachedAfterMs\`, so that they are not cleaned up.`,
    `- Memory is read after a collection, before and after ${idle.map((count) => formatted(count, 0)).join(' and ')} connections are opened. Where the system grants a process fewer file descriptors than that, several pairs of processes share the connections, and the numbers are the sums over all of them.`,
    `- Managers without sockets live in processes with a young generation of 64 MB (\`--max-semi-space-size\`), for every number of them.`,
    `- The heartbeat is compared with bare \`ws\` and the ping loop of its documentation, at the same interval of 25 s.`,
    `- A request is an echo with an \`id\`, and with Socket.IO one with an acknowledgement. Questions go to 64 clients, one after the other for each; by hand they are a \`Map\` and a timer for each on bare \`ws\`. Items of streams are compared with \`manager.send\` in a loop. The streams of 100 MiB are read at 1 MiB per second each, and resident memory is read once per second.`,
    `- Topics of two nodes are compared with Socket.IO over the same Redis: with its Redis adapter, and for topics with history with its Redis Streams adapter and connection state recovery. The next message is sent when all clients have the last one. The processor time of both nodes counts, that of Redis does not.`,
    `- Memberships of managers without sockets are compared with a \`Map\` of \`Set\`s, which does not know the topics of a connection. Topics have 1,024 members.`,
  ].join('\n');
}

function machine(): string {
  const rows = Object.entries(environment()).map(([name, value]) => `${name} ${value}`);
  return `Measured with ${rows.join(', ')}.`;
}

function ratioRows(ratios: readonly Ratio[]): string {
  return table(
    ['Measure', 'Against', 'At most', 'Measured', 'Round by round'],
    ratios.map(({ title, against, limit, measured, rounds }) => [
      title,
      against,
      formatted(limit, 2),
      measured === undefined ? '–' : `**${formatted(measured, 2)}**`,
      rounds ? `${formatted(rounds.lower, 2)} – ${formatted(rounds.upper, 2)}` : '',
    ]),
  );
}

function seriesRows(series: Series): string {
  const { metric, subjects } = series;
  return table(
    ['', metric.unit, 'Middle half', ''],
    [...subjects].map(([subject, summary]) => [
      titleOf(subject),
      formatted(summary.median, metric.digits),
      `${formatted(summary.lower, metric.digits)} – ${formatted(summary.upper, metric.digits)}`,
      factorOf(summary, series),
    ]),
  );
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = header.map((_, column) => (column === 0 ? '---' : '--:'));
  return [header, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function panels({ settings, series }: Measured): Panel[] {
  const shown = new Set([
    metrics.echoCpu(64).id,
    metrics.connectCpu().id,
    metrics.idleHeap(settings.idle[0]!).id,
  ]);
  return series
    .filter(({ metric }) => shown.has(metric.id))
    .map(({ metric, subjects }) => ({
      title: `${metric.title} (${metric.unit})`,
      bars: candidates
        .filter(({ name }) => subjects.has(name))
        .map(({ name, title }) => {
          const { median, lower, upper } = subjects.get(name)!;
          const label = formatted(median, metric.digits);
          const isOurs = name.startsWith('isolated');
          return { title, label, value: median, lower, upper, isOurs };
        }),
    }));
}
