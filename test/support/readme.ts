import { readdirSync, readFileSync } from 'node:fs';

/** A file of the project as text. */
export function projectFile(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** The files of the README's quick start: path → code. */
export function quickStartFiles(): Map<string, string> {
  const pattern = /<!-- quick-start: (\S+) -->\s*```ts\n([\s\S]*?)```/g;
  const files = [...projectFile('README.md').matchAll(pattern)];
  return new Map(files.map(([, path, code]) => [path!, code!]));
}

/** The cells of the tables between two markers of a page, row by row, without their heads. */
export function tableOf(page: string, marker: string): string[][] {
  const text = projectFile(page);
  const start = text.indexOf(`<!-- ${marker} -->`);
  const end = text.indexOf(`<!-- /${marker} -->`);
  if (start === -1 || end === -1) throw new Error(`${page} has no table "${marker}"`);
  const lines = text.slice(start, end).split('\n');
  const isRule = (line: string | undefined): boolean => /^\|[\s|:-]+\|$/.test(line ?? '');
  const rows = lines.filter(
    (line, index) => line.startsWith('|') && !isRule(line) && !isRule(lines[index + 1]),
  );
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** A cell without the marks of code. */
export function plain(cell: string | undefined): string {
  return (cell ?? '').replaceAll('`', '');
}

/** Every page of the documentation, by its path in the project. */
export function pages(): string[] {
  const folder = new URL('../../', import.meta.url);
  const docs = readdirSync(new URL('docs/', folder), { recursive: true, encoding: 'utf8' });
  return [
    'README.md',
    'CONTRIBUTING.md',
    ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
  ].toSorted();
}
