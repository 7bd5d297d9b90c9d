import { describe, expect, it } from '@jest/globals';

import { plain, projectFile, tableOf } from '../support/readme.js';

const PAGE = 'docs/reference/server-api.md';

/** The report of the public types, which another test compares with the package. */
const report = projectFile('api/core.api.md');

/** Called by Nest. */
const HOOKS = new Set(['onModuleDestroy', 'onApplicationBootstrap', 'onApplicationShutdown']);

/** A class or an interface of the report: what it extends, and its lines. */
function declarationOf(name: string): { bases: string[]; lines: string[] } {
  const pattern = new RegExp(
    `^(?:export )?(?:abstract )?(?:class|interface) ${name}\\b(.*) \\{$`,
    'm',
  );
  const found = pattern.exec(report);
  if (!found) throw new Error(`the report of the API has no ${name}`);
  const [head, rest] = found;
  const [body] = report.slice(found.index + head.length).split(/^\}/m);
  // Without type parameters, which extend something too.
  const [, bases = ''] =
    / extends (.*?)(?: implements .*)?$/.exec(rest!.replaceAll(/<[^<>]*>/g, '')) ?? [];
  const names = [...bases.matchAll(/\w+/g)].map(([base]) => base);
  return { bases: names, lines: body!.split('\n') };
}

/** Returns the public members of a class or an interface, those of its bases included. */
function membersOf(name: string): string[] {
  const { bases, lines } = declarationOf(name);
  const own = lines.flatMap((line) => {
    const [, member] = /^ {4}(?:(?:static|readonly|abstract|get) )*(\w+)[<(?:]/.exec(line) ?? [];
    return member === undefined || member === 'constructor' ? [] : [member];
  });
  return [...new Set([...bases.flatMap(membersOf), ...own])].filter((each) => !HOOKS.has(each));
}

/** Returns the fields of an interface, with those of the objects inside of it: `metrics.lastActivity`. */
function fieldsOf(name: string): string[] {
  let group = '';
  return declarationOf(name).lines.flatMap((line) => {
    const [, indent, field, opened] = /^( +)readonly (\w+)\??: (\{$)?/.exec(line) ?? [];
    if (field === undefined) return [];
    if (opened !== undefined) {
      group = field;
      return [];
    }
    return [indent!.length > 4 ? `${group}.${field}` : field];
  });
}

describe('docs/reference/server-api.md', () => {
  it.each([
    'WebSocketManager',
    'WebSocketManagerFactory',
    'WebSocketEmitter',
    'UserExecutionContext',
    'ConnectionRequest',
    'TopicPresence',
    'ClientAddresses',
  ])('has every public member of %s, and no other', (name) => {
    const documented = tableOf(PAGE, name).map(([member]) => plain(member));
    expect(documented.toSorted()).toEqual(membersOf(name).toSorted());
  });

  it('says what each target of the emitter can do', () => {
    const targets = declarationOf('WebSocketEmitter').lines.flatMap((line) => {
      const [, target, audience] = /^ {4}(to\w+)[<(].*\): (\w+)</.exec(line) ?? [];
      return target === undefined ? [] : [{ target, members: membersOf(audience!) }];
    });
    const [head] = /^\| Member .*`toUser`.*$/m.exec(projectFile(PAGE))!;
    const columns = [...head.matchAll(/`(to\w+)`/g)].map(([, target]) => target!);
    expect(columns.toSorted()).toEqual(targets.map(({ target }) => target).toSorted());
    const rows = tableOf(PAGE, 'audiences');
    const all = new Set(targets.flatMap(({ members }) => members));
    expect(rows.map(([member]) => plain(member)).toSorted()).toEqual([...all].toSorted());
    for (const row of rows) {
      const can = columns.map((column) =>
        targets.find(({ target }) => target === column)!.members.includes(plain(row[0])),
      );
      expect([row[0], ...row.slice(1, -1)]).toEqual([
        row[0],
        ...can.map((it) => (it ? 'yes' : '–')),
      ]);
    }
  });

  it.each(['IsolationEventBus', 'LeakDetector', 'ThreadConsistencyTracker'])(
    'has every public member of %s, which watches, and no other',
    (name) => {
      const rows = tableOf(PAGE, 'watchers').filter(([type]) => plain(type) === name);
      expect(rows.map(([, member]) => plain(member)).toSorted()).toEqual(
        membersOf(name).toSorted(),
      );
    },
  );

  it('has every decorator of parameters and methods, and no other', () => {
    const pattern = /^export const (\w+): \(\) => (?:Parameter|Method)Decorator;$/gm;
    const decorators = [...report.matchAll(pattern)].map(([, name]) => `@${name}()`);
    const documented = tableOf(PAGE, 'decorators').map(([name]) => plain(name));
    expect(documented.toSorted()).toEqual(decorators.toSorted());
  });

  it.each(['FactoryStats', 'ManagerStats'])('has every field of %s, and no other', (name) => {
    const documented = tableOf(PAGE, name).map(([field]) => plain(field));
    expect(documented.toSorted()).toEqual(fieldsOf(name).toSorted());
  });
});
