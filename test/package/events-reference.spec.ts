import { describe, expect, it } from '@jest/globals';

import { EVENT_LEVELS } from '../../src/journal/event-levels.js';
import { projectFile, tableOf } from '../support/readme.js';

describe('docs/events.md', () => {
  const rows = tableOf('docs/events.md', 'events').map((row) =>
    row.map((cell) => cell.replaceAll('`', '')),
  );

  it('has every event with the level of its log line, and no other', () => {
    expect(rows.map(([name, level]) => [name, level])).toEqual(Object.entries(EVENT_LEVELS));
  });

  it('lists the fields of each event', () => {
    const source = projectFile('src/journal/isolation-events.ts');
    const types = source.slice(source.indexOf('export interface IsolationEvents'));
    for (const [name, , , details] of rows) {
      const documented = details!
        .replaceAll(/\([^)]*\)/g, '')
        .trim()
        .split(/\s+/);
      expect([name, ...documented]).toEqual([name, ...fieldsOf(name!, types, source)]);
    }
  });
});

/** The fields of an event as its type declares them. */
function fieldsOf(name: string, types: string, source: string): string[] {
  const [, named] = new RegExp(`'${name}': (\\w+);`).exec(types) ?? [];
  const [, inline] = new RegExp(`'${name}': \\{([^}]*)\\}`).exec(types) ?? [];
  const [, body] = named
    ? (new RegExp(`interface ${named} \\{([^}]*)\\}`).exec(source) ?? [])
    : [undefined, inline];
  return [...(body ?? '').matchAll(/(?:readonly )?(\w+\??):/g)].map(([, field]) => field!);
}
