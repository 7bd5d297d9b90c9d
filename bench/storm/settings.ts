import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import type { ProxyName } from '../../lab/proxy.js';
import {
  candidateNamed,
  candidates,
  events,
  type StormCandidate,
  type StormEvent,
} from './candidates.js';

/** Which storms pass, and over how many clients. Rates are those of one node. */
export interface StormSettings {
  readonly clients: number;
  readonly processes: number;
  readonly perSecond: number;
  readonly burst: number;
  readonly spreadMs: number;
  readonly proxies: readonly ProxyName[];
  readonly events: readonly StormEvent[];
  readonly candidates: readonly StormCandidate[];
  readonly isReport: boolean;
  /** The text of the deployment guide. */
  readonly guide: string;
}

export const USAGE = `npm run storm -- [clients] [options]

  clients               default 500; 10000 needs 16,000 file descriptors (ulimit -n)
  --proxies <names>     nginx,haproxy
  --events <names>      ${events.join(',')}
  --only <names>        candidates: ${candidates.map(({ name }) => name).join(',')};
                        default: all but the last
  --per-second <n>      arrivals per second that admission lets each node take; default: clients / 60
  --report              writes docs/storm.md and its charts; with 10000 clients, about half an hour`;

const PROXIES: readonly ProxyName[] = ['nginx', 'haproxy'];
/** More clients than that are too many for one process of two cores. */
const CLIENTS_PER_PROCESS = 2_500;
/** Those that are compared by default: the others show what goes wrong. */
const COMPARED = ['stock', 'open', 'admission'];
/** Seconds in which three nodes take all clients, at the default rate, without the burst. */
const SECONDS = 20;

// Compiled, this file is in dist-bench/bench/storm.
const GUIDE = new URL('../../../docs/guide/deployment.md', import.meta.url);

/** @throws when an option, a candidate, an event or a proxy does not exist */
export function readSettings(args: string[]): StormSettings | 'help' {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      proxies: { type: 'string', default: PROXIES.join(',') },
      events: { type: 'string', default: events.join(',') },
      only: { type: 'string', default: COMPARED.join(',') },
      'per-second': { type: 'string' },
      report: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const clients = Number(positionals[0] ?? 500);
  const perSecond = Number(values['per-second'] ?? Math.ceil(clients / (3 * SECONDS)));
  return {
    clients,
    processes: Math.ceil(clients / CLIENTS_PER_PROCESS),
    perSecond,
    burst: perSecond,
    // A third of the clients, at the rate of the two nodes that stay.
    spreadMs: Math.round((clients / 3 / (2 * perSecond)) * 1_000),
    proxies: known(values.proxies, PROXIES),
    events: known(values.events, events),
    candidates: values.only.split(',').map(candidateNamed),
    isReport: values.report,
    guide: readFileSync(GUIDE, 'utf8'),
  };
}

function known<Name extends string>(names: string, all: readonly Name[]): Name[] {
  return names.split(',').map((name) => {
    const found = all.find((each) => each === name);
    if (found) return found;
    throw new Error(`There is no "${name}". There are: ${all.join(', ')}.`);
  });
}
