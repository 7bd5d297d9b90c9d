import { readdirSync } from 'node:fs';

import { describe, expect, it } from '@jest/globals';
import { CloseCode } from 'nestjs-websocket-isolation';

import { CLUSTER_FAILURES } from '../../src/cluster/cluster-status.js';
import { SHOWN_EVENTS } from '../../src/dashboard/event-feed.js';
import { INCIDENTS } from '../../src/dashboard/incidents.js';
import { PAGE } from '../../src/dashboard/page-files.js';
import { TrafficCounters } from '../../src/connection/traffic-counters.js';
import { REFUSAL_REASONS } from '../../src/handshake/refusal.js';
import { projectFile, tableOf } from '../support/readme.js';

// Scripts of the page. They have no type declarations.
const WORDS: string = '../../src/dashboard/public/words.js';
const { CODES, EVENTS, FAILURES, IGNORED, REFUSALS } = (await import(WORDS)) as Record<
  string,
  object
>;
const INCIDENT_WORDS: string = '../../src/dashboard/public/incident-words.js';
const { INCIDENTS: SAID, REFUSAL_ADVICE: ADVICE } = (await import(INCIDENT_WORDS)) as Record<
  string,
  object
>;

const sorted = (values: Iterable<string>): string[] =>
  [...values].toSorted((a, b) => a.localeCompare(b));

describe('the words of the dashboard', () => {
  it('cover every refusal, dropped message, close code, event and incident of the code', () => {
    expect(sorted(Object.keys(REFUSALS!))).toEqual(sorted(REFUSAL_REASONS));
    expect(sorted(Object.keys(ADVICE!))).toEqual(sorted(REFUSAL_REASONS));
    expect(sorted(Object.keys(IGNORED!))).toEqual(
      sorted(Object.keys(new TrafficCounters().unhandled)),
    );
    expect(sorted(Object.keys(FAILURES!))).toEqual(sorted(CLUSTER_FAILURES));
    expect(Object.keys(CODES!).map(Number)).toEqual(
      expect.arrayContaining(Object.values(CloseCode)),
    );
    expect(sorted(Object.keys(EVENTS!))).toEqual(sorted(SHOWN_EVENTS));
    expect(sorted(Object.keys(SAID!))).toEqual(sorted(INCIDENTS));
  });

  it('come with the page: every file of the folder is served, and no other', async () => {
    const files = ['dashboard', 'pages']
      .flatMap((room) => readdirSync(new URL(`../../src/${room}/public/`, import.meta.url)))
      .filter((name) => name !== 'index.html');
    expect(sorted(PAGE.names)).toEqual(sorted(files));
    for (const name of files) expect(await PAGE.fileAt(`/dashboard/${name}?v=1`)).toBeDefined();
    await expect(PAGE.fileAt('/dashboard/index.html')).rejects.toThrow('Not Found');
  });
});

describe('docs/dashboard.md', () => {
  it('has every option of the dashboard, and no other', () => {
    const source =
      projectFile('src/dashboard/dashboard.options.ts').split(
        'export interface ResolvedDashboard',
      )[0]! + projectFile('src/dashboard/dashboard.module.ts').split('const RULES')[0]!;
    const options = [...source.matchAll(/^ {2}readonly (\w+)\?:\s/gm)].map(([, name]) => name!);
    const documented = tableOf('docs/dashboard.md', 'options').map(([name]) =>
      name!.replaceAll('`', ''),
    );
    expect(sorted(documented)).toEqual(sorted(options));
  });
});
