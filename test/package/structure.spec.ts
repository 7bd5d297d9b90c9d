import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from '@jest/globals';

const project = fileURLToPath(new URL('../..', import.meta.url));
const source = join(project, 'src');
const IMPORT = /^(?:import|export)\b[^;]*?\bfrom '([^']+)';/gm;

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, room: file.split('/')[0]! }))
  .filter(({ file, room }) => file !== room);

const LONGEST_FILE = 250;
/** A method that a higher room calls to plug itself in. */
const PLUG = /^ {2}(use(?:[A-Z]\w*)?)(?:<[^>]*>)?\(.*[{;]$/gm;
const architecture = readFileSync(join(project, 'docs/architecture.md'), 'utf8');
const paths = files.map(({ file }) => file);

/** The rooms of CONTRIBUTING.md, from the lowest to the highest. */
const rooms = [
  ...readFileSync(join(project, 'CONTRIBUTING.md'), 'utf8').matchAll(/^\| `(\w+)`/gm),
].map(([, room]) => room!);

function importsOf(file: string): string[] {
  const text = readFileSync(join(source, file), 'utf8');
  return [...text.matchAll(IMPORT)].map(([, from]) => from!);
}

function roomOf(file: string, imported: string): string {
  return relative(source, join(source, file, '..', imported)).split('/')[0]!;
}

/** Files that lead back to themselves, each with the way. */
function circlesOf(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) {
      circles.push([...way.slice(way.indexOf(file)), file].join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const imported of imports.get(file) ?? []) visit(imported, [...way, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  return circles;
}

describe('the house', () => {
  it('has the rooms of CONTRIBUTING.md, and no others', () => {
    expect(rooms.toSorted()).toEqual([...new Set(files.map(({ room }) => room))].toSorted());
  });

  it('has imports that go up its list, never down', () => {
    const down = files.flatMap(({ file, room }) =>
      importsOf(file)
        .filter((imported) => imported.startsWith('.'))
        .filter((imported) => rooms.indexOf(roomOf(file, imported)) > rooms.indexOf(room))
        .map((imported) => `${file} imports ${imported}`),
    );
    expect(down).toEqual([]);
  });

  it('has entry points above the module that do not import each other', () => {
    const above = rooms
      .slice(rooms.indexOf('module') + 1)
      .filter((room) => paths.includes(`${room}/index.ts`));
    expect(above).toEqual(expect.arrayContaining(['dashboard', 'asyncapi']));
    const across = files
      .filter(({ room }) => above.includes(room))
      .flatMap(({ file, room }) =>
        importsOf(file)
          .filter((imported) => imported.startsWith('.'))
          .map((imported) => roomOf(file, imported))
          .filter((other) => other !== room && above.includes(other))
          .map((other) => `${file} imports ${other}`),
      );
    expect(across).toEqual([]);
  });

  it('has no circles of files, also not of types', () => {
    const imports = new Map(
      paths.map((file) => [
        file,
        importsOf(file)
          .filter((imported) => imported.startsWith('.'))
          .map((imported) => join(file, '..', imported.replace(/\.js$/, '.ts'))),
      ]),
    );
    expect(circlesOf(imports)).toEqual([]);
    // And one that is there is found.
    const [first] = [...imports].find(([, others]) => others.length > 0)!;
    const [second] = imports.get(first)!;
    imports.get(second!)!.push(first);
    expect(circlesOf(imports)).not.toEqual([]);
  });

  it('has no file that cannot be read whole', () => {
    const long = files
      .map(({ file }) => [file, readFileSync(join(source, file), 'utf8').split('\n').length - 1])
      .filter(([, lines]) => Number(lines) > LONGEST_FILE);
    expect(long).toEqual([]);
  });

  it.each(['An upgrade request', 'A message'])('lets a reader follow: %s', (heading) => {
    const section = architecture.split('\n## ').find((text) => text.startsWith(heading))!;
    const way = [...section.matchAll(/^\| `([\w/.-]+\.ts)`/gm)].map(([, file]) => file!);
    expect(way.length).toBeGreaterThan(0);
    expect(way.length).toBeLessThanOrEqual(7);
    expect(way.filter((file) => !paths.includes(file))).toEqual([]);
  });

  it('has the plugs of architecture.md, and no others', () => {
    const listed = [...architecture.matchAll(/^\| `\w+\.(use\w*)`/gm)].map(([, name]) => name!);
    const defined = files.flatMap(({ file }) =>
      [...readFileSync(join(source, file), 'utf8').matchAll(PLUG)].map(([, name]) => name!),
    );
    expect([...new Set(defined)].toSorted()).toEqual(listed.toSorted());
  });

  it('has one file that imports what Nest does not publish', () => {
    const inside = files.filter(({ file }) =>
      importsOf(file).some((imported) => /^@nestjs\/[\w-]+\/./.test(imported)),
    );
    expect(inside.map(({ file }) => file)).toEqual(['nest/nest-internals.ts']);
  });

  it('loads the main file of class-validator for classes of an app alone', () => {
    const loading = files.filter(({ file }) =>
      /^import (?!type)[^;]*? from 'class-validator';/m.test(
        readFileSync(join(source, file), 'utf8'),
      ),
    );
    expect(loading.map(({ file }) => file)).toEqual(['dto/dto.ts']);
  });
});
