import { existsSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from '@jest/globals';

import { pages, projectFile } from '../support/readme.js';

const project = fileURLToPath(new URL('../..', import.meta.url));

describe.each(pages())('the links of %s', (page) => {
  const links = linksOf(projectFile(page));

  it('resolve', () => {
    expect(links.flatMap((link) => faultOf(page, link) ?? [])).toEqual([]);
  });
});

describe.each(['docs/architecture.md', 'docs/decisions.md', 'docs/guarantees.md'])(
  'the files that %s names',
  (page) => {
    it('exist', () => {
      const named = [...projectFile(page).matchAll(/`([\w-]+\/[\w.-]+\.ts)`/g)];
      const paths = named.map(([, path]) => path!);
      expect(paths.length).toBeGreaterThan(0);
      expect(paths.filter((path) => !existsSync(join(project, 'src', path)))).toEqual([]);
    });
  },
);

describe('docs/README.md', () => {
  it('links to every page, directly or through other pages', () => {
    const reached = new Set(['docs/README.md']);
    for (const page of reached) {
      if (!page.endsWith('.md') || !page.startsWith('docs/')) continue;
      for (const link of linksOf(projectFile(page))) {
        const [path = ''] = link.split('#');
        reached.add(normalize(join(dirname(page), path)));
      }
    }
    const wanted = pages().filter((page) => page.startsWith('docs/'));
    expect(wanted.filter((page) => !reached.has(page))).toEqual([]);
  });
});

function linksOf(text: string): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '');
  const inline = [...prose.matchAll(/\]\(([^)\s]+)\)/g)];
  const sources = [...prose.matchAll(/(?:src|srcset|href)="([^"]+)"/g)];
  return [...inline, ...sources].map(([, target]) => target!);
}

/** Returns the fault of a link; `undefined` for a link that resolves, or that leaves the project. */
function faultOf(page: string, link: string): string | undefined {
  if (/^[a-z]+:/.test(link)) return undefined;
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : normalize(join(dirname(page), path));
  const file = join(project, target);
  if (!existsSync(file)) return `${link}: there is no ${target}`;
  if (anchor === undefined || statSync(file).isDirectory()) return undefined;
  return anchorsOf(projectFile(target)).has(anchor)
    ? undefined
    : `${link}: ${target} has no such heading`;
}

/** Returns the anchors that a Markdown renderer gives to the headings. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)) {
    const slug = heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-');
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}
