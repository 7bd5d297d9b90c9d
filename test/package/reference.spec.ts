import { readdirSync } from 'node:fs';

import { describe, expect, it } from '@jest/globals';
import { CloseCode, InvalidOptionsError } from 'nestjs-websocket-isolation';

import { REMOVAL_CODES } from '../../src/cleanup/removal.js';
import { ResumeOptions } from '../../src/config/option-groups.js';
import { defaultGroups, NESTED_GROUPS } from '../../src/config/groups.js';
import { resolveOptions } from '../../src/config/resolve-options.js';
import { variableOf } from '../../src/config/variables.js';
import { HandshakeRefused, REFUSAL_REASONS } from '../../src/handshake/refusal.js';
import { plain, projectFile, tableOf } from '../support/readme.js';

const OPTIONS = 'docs/reference/options.md';
const ERRORS = 'docs/reference/errors.md';
const CODES = 'docs/reference/close-codes.md';

/** Defaults that depend on NODE_ENV or on Node's memory limit, as the page writes them. */
const MACHINE_DEFAULTS: Readonly<Record<string, string>> = {
  proactiveIntervalMs: '60000',
  maxPendingBytesTotal: '1/16 of the heap limit',
  maxBufferedBytesTotal: '1/4 of the heap limit',
};

describe('docs/reference/options.md', () => {
  const options = Object.entries({ ...defaultGroups(), resume: new ResumeOptions() }).flatMap(
    ([group, values]) => optionsOf(group, values as object),
  );
  const rows = tableOf(OPTIONS, 'options');

  it('has every option with its default and its variable, and no other', () => {
    expect(rows.map(([option, value, , variable]) => [option, value, variable].map(plain))).toEqual(
      options.map(({ option, value }) => [option, value, variableOf(option) ?? '–']),
    );
  });

  it.each(options)('lists the values that $option accepts', ({ option }) => {
    const row = rows.find(([cell]) => plain(cell) === option)!;
    const accepts = (value: unknown): boolean => {
      try {
        resolveOptions(withOption(option, value));
        return true;
      } catch (error) {
        if (!(error instanceof InvalidOptionsError)) throw error;
        return false;
      }
    };
    const { good, bad } = examplesOf(plain(row[2]));
    expect({ accepted: good.filter(accepts), refused: bad.filter((v) => !accepts(v)) }).toEqual({
      accepted: good,
      refused: bad,
    });
  });

  it('has every option beside the groups, and no other', () => {
    const source = projectFile('src/config/resolve-options.ts');
    const [, list] = /TOP_LEVEL = new Set<string>\(\[\s*\.\.\.GROUP_NAMES,([^\]]*)\]/.exec(source)!;
    const all = matchesOf(/'(\w+)'/g, list!);
    // `resume` is a group and is in the table of groups.
    const names = all.filter((name) => name !== 'resume');
    expect(tableOf(OPTIONS, 'top-level').map(([option]) => plain(option))).toEqual(names);
  });

  it.each([
    ['redisCluster', ['src/redis/redis.options.ts:class RedisClusterSettings']],
    [
      'WebSocketIsolationMetricsModule.forRoot',
      ['src/metrics/web-socket-isolation-metrics.ts:interface WebSocketIsolationMetricsOptions'],
    ],
    [
      'WebSocketIsolationHealthModule.forRoot',
      ['src/health/health-rules.ts:interface HealthThresholds'],
    ],
    [
      'WebSocketIsolationTracingModule.forRoot',
      ['src/otel/open-telemetry.tracer.ts:interface WebSocketIsolationTracingOptions'],
    ],
    [
      'WebSocketIsolationDashboardModule.forRoot',
      [
        'src/dashboard/dashboard.module.ts:interface DashboardModuleOptions',
        'src/dashboard/dashboard.options.ts:interface DashboardOptions',
      ],
    ],
    [
      'WebSocketIsolationAsyncApiModule.forRoot',
      [
        'src/asyncapi/async-api.options.ts:interface AsyncApiModuleOptions',
        'src/asyncapi/async-api-document.ts:interface AsyncApiInfo',
      ],
    ],
  ])('has every option of %s()', (where, types) => {
    const row = tableOf(OPTIONS, 'other-options').find(([cell]) => plain(cell) === `${where}()`)!;
    expect(plain(row[1]).split(' ')).toEqual(types.flatMap(fieldsOf));
    // The page that the row links to describes each of them.
    const [, page] = /\]\(\.\.\/([^)#]+)[^)]*\)/.exec(row[2]!)!;
    const told = projectFile(`docs/${page}`);
    const names = plain(row[1]).split(' ');
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(told))).toEqual([]);
  });

  it('agrees with the shorter table of the README', () => {
    const known = new Map(rows.map(([option, value]) => [option, value]));
    const short = tableOf('README.md', 'options');
    expect(short.length).toBeGreaterThan(0);
    for (const [option, value] of short)
      expect([option, value]).toEqual([option, known.get(option)]);
  });
});

/** Groups whose parts are not all numbers, or of which one part at least has to be set; and what proxies are. */
const SPECIAL_EXAMPLES: Readonly<Record<string, { good: unknown[]; bad: unknown[] }>> = {
  '{ perSecond, burst, maxEventLoopDelayMs?, perAddress? }': {
    good: [
      { perSecond: 1, burst: 1 },
      { perSecond: 1, burst: 1, maxEventLoopDelayMs: 1, perAddress: { perSecond: 1 } },
    ],
    bad: [
      'nonsense',
      7,
      {},
      { perSecond: 1 },
      { burst: 1 },
      { perSecond: 1, burst: 1, unknown: 1 },
    ],
  },
  '{ maxConnections?, perSecond? }': {
    good: [{ maxConnections: 1 }, { perSecond: 1 }, { maxConnections: 1, perSecond: 1 }],
    bad: ['nonsense', 7, {}, { maxConnections: 0 }, { unknown: 1 }],
  },
  'a number of proxies, a list of addresses and networks, a function': {
    good: [1, 32, ['10.0.0.0/8', '::1', 'fd00::/8'], () => true],
    bad: [0, 33, true, '10.0.0.0/8', [], ['loopback'], ['0.0.0.0/0'], ['10.0.0.0/33'], [7]],
  },
};

/** Returns values that a cell such as "from 0.01 to 1" allows, and values that it excludes. */
function examplesOf(cell: string): { good: unknown[]; bad: unknown[] } {
  const [, from, to] = /^from ([\d.]+)(?: to ([\d.]+))?$/.exec(cell) ?? [];
  if (from !== undefined) {
    const isWhole = !from.includes('.');
    const bad = [-1, Number(from) - 0.005, 'many', ...(to ? [Number(to) + 0.01] : [])];
    return {
      good: [Number(from), Number(to ?? 86_400_000)],
      bad: [...bad, ...(isWhole ? [1.5] : [])],
    };
  }
  if (cell in SPECIAL_EXAMPLES) return SPECIAL_EXAMPLES[cell]!;
  if (cell.startsWith('{')) return examplesOfParts(matchesOf(/(\w+\??)/g, cell));
  const words = cell.split(', ');
  const good = words.flatMap((word): unknown[] => {
    if (word.startsWith("'")) return [word.slice(1, -1)];
    if (word === 'true' || word === 'false') return [word === 'true'];
    if (word === 'a list of exact origins') return [['https://app.example.com']];
    if (word === 'a list of header names') return [['user-agent'], []];
    if (word === 'a list of prefixes') return [['bearer.'], []];
    if (word === 'a function') return [() => true];
    if (word === 'a provider class') return [ReadableStream];
    throw new Error(`"${word}" is no description of values that this test knows`);
  });
  return { good, bad: ['nonsense', 7, ['https://app.example.com/path', '']] };
}

/** Returns values for a group inside of a group. @param parts its options; a `?` marks those that have a default */
function examplesOfParts(parts: readonly string[]): { good: unknown[]; bad: unknown[] } {
  const needed = parts.filter((name) => !name.endsWith('?'));
  const incomplete = needed.map((name) => allOne(needed.filter((other) => other !== name)));
  const wrong = parts.map((name) => ({ ...allOne(parts), [name.replace('?', '')]: 0 }));
  return {
    good: [allOne(needed), allOne(parts)],
    bad: ['nonsense', 7, { ...allOne(parts), unknown: 1 }, ...incomplete, ...wrong],
  };
}

function allOne(parts: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(parts.map((name) => [name.replace('?', ''), 1]));
}

/** Returns the options of a group with their defaults, and after a group inside of it the options of that one. */
function optionsOf(path: string, values: object): { option: string; value: string }[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const option = `${path}.${name}`;
    const Nested = NESTED_GROUPS[option];
    const parts = Nested ? optionsOf(option, new Nested()) : [];
    return [{ option, value: MACHINE_DEFAULTS[name] ?? show(value) }].concat(parts);
  });
}

/** Returns options of a program in which one option is set, and those without which it cannot be. */
function withOption(option: string, value: unknown): object {
  const path = option.slice(0, option.lastIndexOf('.'));
  const own = { [option.slice(path.length + 1)]: value };
  const Nested = NESTED_GROUPS[path];
  if (!Nested) return { [path]: own };
  const needed = Object.entries(new Nested()).filter(([, byDefault]) => Number.isNaN(byDefault));
  const others = Object.fromEntries(needed.map(([each]) => [each, 1]));
  return withOption(path, { ...others, ...own });
}

/** Returns the field names of a class or an interface. @param type `file:class Name` */
function fieldsOf(type: string): string[] {
  const [file, declaration] = type.split(':') as [string, string];
  const [, body] = projectFile(file).split(new RegExp(`export ${declaration}\\b[^{]*\\{`));
  const [own] = body!.split(/^\}/m);
  return matchesOf(/^ {2}(?:readonly )?(\w+)\??(?::| =)/gm, own!);
}

function show(value: unknown): string {
  if (Number.isNaN(value)) return 'required';
  if (typeof value === 'string') return `'${value}'`;
  if (!Array.isArray(value)) return String(value);
  return `[${value.map((item) => `'${String(item)}'`).join(', ')}]`;
}

describe('docs/reference/errors.md', () => {
  const sources = sourceTexts();
  const source = sources.join('\n');

  it('has every code and class that is thrown, and no other', () => {
    const rows = [...tableOf(ERRORS, 'boot-errors'), ...tableOf(ERRORS, 'errors')];
    const documented = rows.map(([code, type]) => `${plain(code)} ${plain(type)}`);
    expect(documented.toSorted()).toEqual(thrownIn(sources).toSorted());
  });

  it('has every code of an exception event, and no other', () => {
    const refused = codesOf('MessageRefusedError', sources);
    const replied = [...source.matchAll(/return reply\(([^;]*)\);/g)].flatMap(([, args]) =>
      matchesOf(/'([A-Z]+(?:_[A-Z]+)*)'/g, args!),
    );
    const documented = tableOf(ERRORS, 'replies').map(([code]) => plain(code));
    expect(documented.toSorted()).toEqual([...new Set([...refused, ...replied])].toSorted());
  });

  it('has every refusal with its answers, and no other', () => {
    const answers = REFUSAL_REASONS.map((reason) => {
      const { status, code } = new HandshakeRefused(reason).refusal;
      return [reason, String(status), String(code)];
    });
    const rows = tableOf(ERRORS, 'refusals').map((row) => row.slice(0, 3).map(plain));
    expect(rows).toEqual(answers);
  });

  it.each([
    ['dropped-outgoing', 'src/wire/delivery-result.ts', 'DropReason'],
    ['dropped-incoming', 'src/connection/traffic-counters.ts', 'IgnoredReason'],
  ])('has every reason of %s, and no other', (marker, file, type) => {
    const [, union] = new RegExp(`type ${type} =([^;]*);`).exec(projectFile(file))!;
    const reasons = matchesOf(/'([\w-]+)'/g, union!);
    expect(tableOf(ERRORS, marker).map(([reason]) => plain(reason))).toEqual(reasons);
  });
});

/** Returns `CODE Class` for every error that the source creates. */
function thrownIn(sources: readonly string[]): string[] {
  const direct = codesOf('IsolationError', sources);
  const classes = sources
    .join('\n')
    .split(/\bclass /)
    .flatMap((text) => {
      const [, name] = /^(\w+) extends IsolationError\b/.exec(text) ?? [];
      const [code] = matchesOf(/super\(\s*'([A-Z_]+)'/g, text);
      return name !== undefined && code !== undefined ? [`${code} ${name}`] : [];
    });
  // Several places may throw the same code.
  return [...new Set(direct.map((code) => `${code} IsolationError`)), ...classes];
}

/**
 * Returns every code with which errors of a class are created: where they are, and where the code is handed to a
 * function that creates them with a parameter called `code`, or that hands it on to such a function.
 */
function codesOf(type: string, sources: readonly string[]): string[] {
  const calls = [`new ${type}`, ...forwardersOf(type, sources)];
  const pattern = new RegExp(`${anyOf(calls)}\\([^;]*?'([A-Z]+(?:_[A-Z]+)*)'`, 'g');
  return sources.flatMap((file) => matchesOf(pattern, file));
}

/** Returns the names of the functions and methods that get a `code` for errors of a class. */
function forwardersOf(type: string, sources: readonly string[]): string[] {
  const callables = sources.flatMap((file) => {
    const functions = file.split(/^(?=(?:export )?(?:async )?function \w+)/m).slice(1);
    const methods = file.split(/^ {2}(?=(?:private |async )*#?\w+\()/m).slice(1);
    return [
      ...functions.map((text) => text.split(/^\}/m)[0]!),
      ...methods.map((text) => text.split(/^ {2}\}/m)[0]!),
    ];
  });
  const names = new Set<string>();
  for (let size = -1; size !== names.size;) {
    size = names.size;
    const handsOn = new RegExp(`${anyOf([`new ${type}`, ...names])}\\([^;']*?\\bcode\\b`);
    for (const text of callables) {
      const [, head, name, body] = /^([^(]*?(#?\w+))(?:<\w+>)?(\([^]*)$/.exec(text) ?? [];
      if (head !== undefined && /\bcode: /.test(body!) && handsOn.test(body!)) names.add(name!);
    }
  }
  return [...names];
}

function anyOf(names: readonly string[]): string {
  return `(?<![#\\w])(?:${names.join('|')})`;
}

describe('docs/reference/close-codes.md', () => {
  const rows = tableOf(CODES, 'close-codes');

  it('has every code with its name, and no other', () => {
    const byCode = Object.entries(CloseCode).toSorted(([, a], [, b]) => a - b);
    expect(rows.map(([code, name]) => [Number(code), plain(name)])).toEqual(
      byCode.map(([name, code]) => [code, name]),
    );
  });

  it('has every cause of a removal with its code, and no other', () => {
    expect(
      tableOf(CODES, 'removal-causes').map(([cause, code]) => [plain(cause), Number(code)]),
    ).toEqual(Object.entries(REMOVAL_CODES));
  });

  it('agrees with the shorter table of the README', () => {
    const short = tableOf('README.md', 'close-codes').flatMap(([codes]) => codes!.split(', '));
    expect(short.toSorted()).toEqual(rows.map(([code]) => code!).toSorted());
  });
});

describe('docs/compatibility.md', () => {
  const page = 'docs/compatibility.md';

  it('names the versions of Nest that these tests run with', () => {
    const row = tableOf(page, 'nest').find((cells) => cells[6]!.startsWith('all tests'))!;
    const packages = [
      'core',
      'platform-ws',
      'platform-express',
      'platform-fastify',
      'schedule',
      'config',
    ];
    expect(row.slice(0, 6)).toEqual(packages.map((name) => versionOf(`@nestjs/${name}`)));
  });

  it('names the versions of everything else that these tests run with', () => {
    const rows = tableOf(page, 'beside').map(([name, version]) => [plain(name), version]);
    expect(rows).toEqual(rows.map(([name]) => [name, versionOf(name!)]));
  });
});

/** Returns the installed version of a package. */
function versionOf(name: string): string {
  const { version } = JSON.parse(projectFile(`node_modules/${name}/package.json`)) as {
    version: string;
  };
  return version;
}

function matchesOf(pattern: RegExp, text: string): string[] {
  return [...text.matchAll(pattern)].map(([, found]) => found!);
}

function sourceTexts(): string[] {
  const folder = new URL('../../src/', import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files.filter((name) => name.endsWith('.ts')).map((name) => projectFile(`src/${name}`));
}
