import { describe, expect, it } from '@jest/globals';
import { ISOLATION_METRICS } from 'nestjs-websocket-isolation/metrics';

import { CLUSTER_FAILURES } from '../../src/cluster/cluster-status.js';
import { projectFile, tableOf } from '../support/readme.js';

const PREFIX = 'ws_isolation_';
const SUFFIXES = ['_bucket', '_sum', '_count'];

interface Panel {
  readonly targets?: readonly { readonly expr: string }[];
}

describe('docs/metrics.md', () => {
  it('has every metric of the code, and no other', () => {
    const rows = tableOf('docs/metrics.md', 'metrics').map((row) => {
      const [name, kind, labels, help] = row;
      return [name!.replaceAll('`', ''), kind, labels!.replaceAll('`', ''), help];
    });
    expect(rows).toEqual(
      ISOLATION_METRICS.map(({ name, kind, labels, help }) => [
        PREFIX + name,
        kind,
        labels.join(' '),
        help,
      ]),
    );
  });
});

describe('why commands to the cluster fail, in docs/metrics.md', () => {
  it('has every reason of the code, and no other', () => {
    const reasons = tableOf('docs/metrics.md', 'cluster-failures').map(([reason]) => reason);
    expect(reasons).toEqual(CLUSTER_FAILURES.map((reason) => `\`${reason}\``));
  });
});

describe('docs/grafana-dashboard.json', () => {
  it('has every metric in a panel', () => {
    const shown = grafanaExpressions().join('\n');
    const left = ISOLATION_METRICS.filter(
      ({ name }) => !new RegExp(`${PREFIX}${name}\\b|${PREFIX}${name}_bucket\\b`).test(shown),
    );
    expect(left.map(({ name }) => name)).toEqual([]);
  });
});

describe('docs/alerts.yml', () => {
  it('has a line in the runbook for every alert, and the same severity there', () => {
    const rows = tableOf('docs/metrics.md', 'alerts').map((row) =>
      row.slice(0, 2).map((cell) => cell.replaceAll('`', '')),
    );
    expect(rows).toEqual(
      alertRules().map((rule) => [/^\w+/.exec(rule)![0], /severity: (\w+)/.exec(rule)![1]]),
    );
  });
});

describe.each([
  ['docs/grafana-dashboard.json', grafanaExpressions()],
  ['docs/alerts.yml', alertExpressions()],
])('%s', (_file, expressions) => {
  it('uses only metrics that exist', () => {
    const series = new Set(
      ISOLATION_METRICS.flatMap(({ name, kind }) =>
        kind === 'histogram' ? SUFFIXES.map((suffix) => PREFIX + name + suffix) : [PREFIX + name],
      ),
    );
    const asked = expressions.flatMap((expression) => expression.match(/\bws_\w+/g) ?? []);
    expect(asked.length).toBeGreaterThanOrEqual(expressions.length);
    expect(asked.filter((name) => !series.has(name))).toEqual([]);
  });

  it('uses only labels that exist', () => {
    const labels = new Set(['job', 'instance', 'le']);
    for (const metric of ISOLATION_METRICS) metric.labels.forEach((label) => labels.add(label));
    const grouped = expressions.flatMap((expression) =>
      [...expression.matchAll(/\b(?:by|on) ?\(([^)]*)\)/g)].flatMap(([, list]) =>
        list!.split(',').map((label) => label.trim()),
      ),
    );
    const matched = expressions.flatMap((expression) =>
      [...expression.matchAll(/(\w+)(?:=|!=|=~)"/g)].map(([, label]) => label!),
    );
    expect([...grouped, ...matched].filter((label) => !labels.has(label))).toEqual([]);
  });
});

function grafanaExpressions(): string[] {
  const { panels } = JSON.parse(projectFile('docs/grafana-dashboard.json')) as { panels: Panel[] };
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}

// Every rule has one `expr`, on the same line or on the indented lines after it.
function alertExpressions(): string[] {
  return alertRules().map((rule) => /expr: \|?\s*([\s\S]*?)\n {8}\w/.exec(rule)![1]!);
}

function alertRules(): string[] {
  return projectFile('docs/alerts.yml')
    .split(/^ {6}- alert: /m)
    .slice(1);
}
