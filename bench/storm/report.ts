import { writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';

import { format, resolveConfig } from 'prettier';

import { stepChart, type Step } from '../../lab/chart.js';
import { environment } from '../../lab/environment.js';
import { candidateNamed, eventTitles, type StormEvent } from './candidates.js';
import type { StormSettings } from './settings.js';
import type { StormResult } from './storm.js';

// Compiled, this file is in dist-bench/bench/storm.
const DOCS = new URL('../../../docs/', import.meta.url);
const HEADER = [
  'Proxy',
  'Fleet',
  'Cut',
  'All served after',
  'Predicted',
  'Most in a second',
  'Failed attempts',
  'p99 calm',
  'p99 in the storm',
  'in the node, and by its work',
  'in the probes',
  'CPU of the nodes',
  'Memory of a node',
];

function cells(result: StormResult): string[] {
  const { missing, predictedMs, stormP99, calmP99 } = result;
  return [
    result.proxy,
    candidateNamed(result.candidate).title,
    String(result.cut),
    missing > 0 ? `never: ${missing} missing` : seconds(result.allServedMs),
    predictedMs === undefined ? '–' : seconds(predictedMs),
    String(result.mostPerSecond),
    String(result.failedAttempts),
    `${calmP99.toFixed(1)} ms`,
    stormP99 === undefined
      ? '–'
      : `${stormP99.toFixed(1)} ms (${(stormP99 / calmP99).toFixed(1)} ×)`,
    `${result.nodeDelay.p99.toFixed(1)} / ${result.nodeDelay.ownP99.toFixed(1)} ms`,
    `${result.probeDelay.p99.toFixed(1)} / ${result.probeDelay.ownP99.toFixed(1)} ms`,
    seconds(result.cpuMs),
    `${result.mostMb.toFixed(0)} MB`,
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** One storm, for a terminal. */
export function line(result: StormResult): string {
  const [, fleet, ...values] = cells(result);
  return [fleet, ...values.map((value, index) => `${HEADER[index + 2]}: ${value}`)].join(' · ');
}

/** Writes `docs/storm.md` and its charts. */
export async function writeReport(
  settings: StormSettings,
  results: readonly StormResult[],
): Promise<void> {
  const file = fileURLToPath(new URL('storm.md', DOCS));
  const style = await resolveConfig(file);
  await writeFile(
    file,
    await format(markdown(settings, results), { ...style, parser: 'markdown' }),
  );
  for (const event of eventsOf(settings, results)) {
    const chart = chartOf(settings, results, event);
    await writeFile(new URL(`images/storm-${event}.svg`, DOCS), chart);
  }
}

function markdown(settings: StormSettings, results: readonly StormResult[]): string {
  return [
    '# Storms: what happens when many clients come back at once',
    `Written by \`npm run storm -- ${settings.clients} --report\`. \`npm run storm -- --help\` lists all options.`,
    '## How it is measured',
    method(settings),
    `Measured with ${Object.entries(environment())
      .map(([name, value]) => `${name} ${value}`)
      .join(
        ', ',
      )}. At the end of the storms, the load average of the machine was ${loadavg()[1]!.toFixed(1)}: where it is above the number of cores without the lab, waiting for a processor is a part of all times.`,
    '## In short',
    summary(settings, results),
    ...eventsOf(settings, results).flatMap((event) => [
      `## ${eventTitles[event]}`,
      `![Clients that are served again, per second](images/storm-${event}.svg)`,
      table(results.filter((result) => result.event === event)),
    ]),
    '',
  ].join('\n\n');
}

function summary({ candidates }: StormSettings, results: readonly StormResult[]): string {
  const header = ['Fleet', 'Storms', 'All served after, of the prediction', 'p99 in the storm'];
  const rows = candidates.map(({ name, title }) => {
    const own = results.filter(({ candidate }) => candidate === name);
    const shares = own.flatMap(({ allServedMs, predictedMs, missing }) =>
      predictedMs === undefined || missing > 0 ? [] : [(allServedMs / predictedMs) * 100],
    );
    const p99s = own.flatMap(({ stormP99 }) => stormP99 ?? []);
    return [title, String(own.length), range(shares, '%'), range(p99s, 'ms')];
  });
  return [header, ['---', '--:', '--:', '--:'], ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

function range(values: readonly number[], unit: string): string {
  if (values.length === 0) return '–';
  return `${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)} ${unit}`;
}

// Those that have passed behind the first proxy, which the charts are of.
function eventsOf(
  { events, proxies }: StormSettings,
  results: readonly StormResult[],
): StormEvent[] {
  return events.filter((event) =>
    results.some((result) => result.event === event && result.proxy === proxies[0]),
  );
}

function method({ clients, perSecond, burst, spreadMs }: StormSettings): string {
  return [
    `- ${clients} clients are connected to three nodes (processes of their own) through one proxy, and 60 more, in a process of their own, send 200 messages per second in total. All of it runs on the one machine that is named below, so processor time is what everybody competes for; only the ${clients} run with a lower priority, as they would not compete on machines of their own.`,
    '- nginx and HAProxy are real ones, from Debian, with the configuration of [the deployment guide](guide/deployment.md), taken out of its page. nginx has two workers, and HAProxy runs twice on one port, as a connection takes two file descriptors. All of them, and the nodes, let 4,096 connections wait to be accepted. Envoy is not among the packages of Debian, and was not run.',
    '- A connect costs each server about 1 ms of processor time (`scrypt`), which stands for verifying a token and loading a session.',
    "- With ours, the clients are `nestjs-websocket-isolation/client` at its defaults. With stock Nest (`WsAdapter`), they are what is usually written: they try again every second, and give an attempt up after 20 s, as ours do. A client is served when it has an answer, not when its socket is open: a refused client's socket opens first.",
    `- Admission: \`perSecond: ${perSecond}, burst: ${burst}, maxEventLoopDelayMs: 250\` on each node, \`shutdown.spreadMs: ${spreadMs}\`, \`rejectWith: 'close-behind-proxy'\`. The prediction is the number of clients that were cut, beyond one burst of each node that stays, at the rate of these nodes; in a drain, at least \`spreadMs\`, and where all nodes are started again, from the end of their boot on.`,
    '- p99 is the latency of messages of clients that kept their connection: in the five seconds before, and until all are served. It is measured in a process that competes for the cores with the nodes, the proxy and the other clients. Two columns separate that: for how long a message waited in a node until it could be read (p99, in the worst node), and for how long of that the node was at work itself; and the same for answers in the process that measures. Where a node waits for longer than it works, it had no processor. All times end with the storm.',
    '- CPU is that of the nodes that run at the end, without their boot. Memory is the most that any of these has had.',
  ].join('\n');
}

function table(results: readonly StormResult[]): string {
  const rule = HEADER.map((_, column) => (column < 2 ? '---' : '--:'));
  return [HEADER, rule, ...results.map(cells)].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

// Behind the first proxy: the charts of two proxies hardly differ.
function chartOf(
  { perSecond, proxies }: StormSettings,
  results: readonly StormResult[],
  event: StormResult['event'],
): string {
  const shown = results.filter((result) => result.event === event && result.proxy === proxies[0]);
  const durationMs = Math.max(...shown.map(({ servedAt }) => servedAt.at(-1) ?? 0)) + 1_000;
  const nodes = event === 'all' ? 3 : 2;
  return stepChart({
    title: `${eventTitles[event]}: clients served again, per second`,
    durationMs,
    limit: { value: nodes * perSecond, name: `perSecond of ${nodes} nodes` },
    series: shown.map(({ candidate, servedAt }) => ({
      name: candidateNamed(candidate).title,
      steps: perSecondSteps(servedAt, durationMs),
    })),
  });
}

function perSecondSteps(servedAt: readonly number[], durationMs: number): Step[] {
  const counts = Array.from({ length: Math.ceil(durationMs / 1_000) }, () => 0);
  for (const at of servedAt) counts[Math.floor(at / 1_000)]! += 1;
  return counts.map((count, second): Step => [second * 1_000, count]);
}
