import { readFileSync } from 'node:fs';

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

/** The cells of the table between two markers of a page, row by row, without its head. */
export function tableOf(page: string, marker: string): string[][] {
  const text = projectFile(page);
  const start = text.indexOf(`<!-- ${marker} -->`);
  const end = text.indexOf(`<!-- /${marker} -->`);
  if (start === -1 || end === -1) throw new Error(`${page} has no table "${marker}"`);
  const rows = text
    .slice(start, end)
    .split('\n')
    .filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
