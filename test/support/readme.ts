import { readdirSync, readFileSync } from 'node:fs';

/** Returns the text of a file of the project. */
export function projectFile(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** Returns the files of the README's quick start: path → code. */
export function quickStartFiles(): Map<string, string> {
  return filesOf('README.md', 'quick-start');
}

/** Returns the files of the app that the guide builds over all its pages: path → code. */
export function guideFiles(): Map<string, string> {
  const guide = pages().filter((page) => page.startsWith('docs/guide/'));
  const files = guide.flatMap((page) => Array.from(filesOf(page, 'guide')));
  const paths = files.map(([path]) => path);
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined) throw new Error(`the guide has ${twice} twice`);
  return new Map(files);
}

function filesOf(page: string, marker: string): Map<string, string> {
  const pattern = new RegExp(`<!-- ${marker}: (\\S+) -->\\s*\`\`\`ts\\n([\\s\\S]*?)\`\`\``, 'g');
  const files = [...projectFile(page).matchAll(pattern)];
  return new Map(files.map(([, path, code]) => [path!, code!]));
}

/** Returns the cells of the tables between two markers of a page, row by row, without the header rows. */
export function tableOf(page: string, marker: string): string[][] {
  const text = projectFile(page);
  const start = text.indexOf(`<!-- ${marker} -->`);
  const end = text.indexOf(`<!-- /${marker} -->`);
  if (start === -1 || end === -1) throw new Error(`${page} has no table "${marker}"`);
  const lines = text.slice(start, end).split('\n');
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

function isRule(line: string | undefined): boolean {
  return /^\|[\s|:-]+\|$/.test(line ?? '');
}

/** Returns the text of a cell without backticks. */
export function plain(cell: string | undefined): string {
  return (cell ?? '').replaceAll('`', '');
}

/** Returns the paths of all pages of the documentation. */
export function pages(): string[] {
  const folder = new URL('../../', import.meta.url);
  const docs = readdirSync(new URL('docs/', folder), { recursive: true, encoding: 'utf8' });
  return [
    'README.md',
    'CONTRIBUTING.md',
    ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
  ].toSorted();
}
