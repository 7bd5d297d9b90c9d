import { readdirSync } from 'node:fs';

import { describe, expect, it } from '@jest/globals';
import { defineContract } from 'nestjs-websocket-isolation/contract';

import { plain, projectFile, tableOf } from '../support/readme.js';

const PROTOCOL = 'docs/reference/protocol.md';

/** The rooms of the source that read and write frames of a connection, without comments: these have other examples. */
const ROOMS = ['connection', 'handlers', 'manager', 'resume', 'topics'];
const source = ROOMS.flatMap((room) =>
  readdirSync(new URL(`../../src/${room}/`, import.meta.url), 'utf8')
    .filter((file) => file.endsWith('.ts'))
    .map((file) => projectFile(`src/${room}/${file}`).replaceAll(/^ *(?:\*|\/\*|\/\/).*$/gm, '')),
).join('\n');

/** Returns what a pattern finds, each text once. */
function found(pattern: RegExp, text = source): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name]) => name!))].toSorted();
}

/** Returns the texts of a union of string literals. */
function unionOf(file: string, type: string): string[] {
  const [, union] = new RegExp(`type ${type} =([^;]*);`).exec(projectFile(file))!;
  return found(/'(\w+)'/g, union);
}

function isRefused(event: string): boolean {
  try {
    defineContract({ server: { [event]: {} } });
    return false;
  } catch {
    return true;
  }
}

describe('docs/reference/protocol.md', () => {
  it('has every event that the library takes from clients, and no other', () => {
    const documented = tableOf(PROTOCOL, 'client-events').map(([event]) => plain(event));
    const constants = new Map(
      [...source.matchAll(/^const ([A-Z]+) = '(\w+)';/gm)].map(([, name, value]) => [name, value!]),
    );
    const compared = [
      ...found(/(?<!typeof [\w.]*)\bevent [!=]== '(\w+)'/g),
      ...found(/\bevent [!=]== ([A-Z]+)\b/g).map((name) => constants.get(name)!),
    ];
    expect(documented.toSorted()).toEqual(compared.toSorted());
    // Those that the test client offers. It answers with a method of its own.
    const offered = unionOf('src/testing/test-client.ts', 'LibraryRequest');
    expect(documented.toSorted()).toEqual([...offered, 'answer'].toSorted());
  });

  it('has every event that the library sends, and no other', () => {
    const documented = tableOf(PROTOCOL, 'server-events').map(([event]) => plain(event));
    const sent = found(
      /(?:(?:\bencodeFrame|\bsend|\breply)\((?:manager, )?'|\{ event: '|"event":")([a-z]+)['"]/g,
    );
    expect(documented.toSorted()).toEqual(sent);
    expect(documented.toSorted()).toEqual(unionOf('src/testing/expected.ts', 'LibraryEvent'));
  });

  it('says which of them a contract refuses', () => {
    const rows = tableOf(PROTOCOL, 'server-events').map(([event, , told]) => [plain(event), told]);
    expect(rows).toEqual(
      rows.map(([event]) => [event, isRefused(event!) ? 'refused' : 'not checked']),
    );
    // And `defineContract()` refuses no name that is not in the table.
    const [, names] = /OWN_EVENTS[^[]*\[([^\]]*)\]/.exec(projectFile('src/contract/contract.ts'))!;
    const reserved = rows.filter(([, told]) => told === 'refused').map(([event]) => event!);
    expect(found(/'(\w+)'/g, names)).toEqual(reserved.toSorted());
  });

  it('shows only frames that are JSON', () => {
    const [...frames] = projectFile(PROTOCOL).matchAll(/^[→←] (\{.*?\})(?: {2,}.*)?$/gm);
    expect(frames.length).toBeGreaterThan(20);
    for (const [, frame] of frames) expect(typeof JSON.parse(frame!)).toBe('object');
  });
});
