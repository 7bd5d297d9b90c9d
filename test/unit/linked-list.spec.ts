import { describe, expect, it } from '@jest/globals';

import { Link, LinkedList } from '../../src/structures/linked-list.js';

const NAMES = ['a', 'b', 'c', 'd'];

function listOf(): { list: LinkedList<string>; links: Map<string, Link<string>> } {
  const list = new LinkedList<string>();
  const links = new Map(NAMES.map((name) => [name, new Link(name)]));
  for (const link of links.values()) list.append(link);
  return { list, links };
}

/** Removes each member that is visited, after something has happened to another one. Returns who was visited. */
function removeAll(happens: (list: LinkedList<string>, link: Link<string>) => void): string[] {
  const { list, links } = listOf();
  const visited: string[] = [];
  for (const name of list) {
    visited.push(name);
    links.get(name)!.remove();
    const other = NAMES.find((each) => links.get(each)!.list === list);
    // Only once, during the first visit.
    if (visited.length === 1 && other) happens(list, links.get(other)!);
  }
  return visited;
}

describe('a visit to all members of a list', () => {
  it('leaves none out where the next one is removed', () => {
    expect(removeAll((_list, link) => link.remove())).toEqual(['a', 'c', 'd']);
  });

  it('leaves none out where the next one is moved to the end', () => {
    expect(removeAll((list, link) => list.append(link))).toEqual(['a', 'c', 'd', 'b']);
  });
});
