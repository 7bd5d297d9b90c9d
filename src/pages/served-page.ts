import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';

import { NotFoundException } from '@nestjs/common';

import { IsolationError } from '../errors/isolation-error.js';

/** The page may load only files of this server: nothing inline, nothing from other origins. It must not be framed. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Files that every page has beside its own, from `pages/public`. */
const SHARED_FILES = ['base.css', 'dom.js', 'icon.svg'];

/** What a page answers with. */
export interface PageFile {
  readonly type: string;
  readonly content: string;
}

/** A static page of this package: `index.html`, the files beside it, and those that all pages share. */
export class ServedPage {
  // The folder of `src` that each file is in, by name.
  readonly #rooms: ReadonlyMap<string, string>;

  /**
   * @param room the folder of `src` whose folder `public` has the page
   * @param names the files there, without `index.html`
   */
  constructor(
    private readonly room: string,
    names: readonly string[],
  ) {
    this.#rooms = new Map([
      ...SHARED_FILES.map((name) => [name, 'pages'] as const),
      ...names.map((name) => [name, room] as const),
    ]);
  }

  /**
   * Call it when the app starts: a bundler takes the code, and leaves the files behind.
   *
   * @param page names the page
   * @throws {IsolationError} `PAGE_FILES_MISSING`
   */
  assertFiles(page: string): void {
    const needed = [['index.html', this.room] as const, ...this.#rooms];
    if (needed.every(([name, room]) => isThere(room, name))) return;
    throw new IsolationError(
      'PAGE_FILES_MISSING',
      `The files of ${page} are not beside the code of nestjs-websocket-isolation, which is the case after bundling. ` +
        'Let the bundler leave packages out (esbuild: --packages=external), and install them where the app runs.',
    );
  }

  /** The names of the files beside the page: its routes, so that other routes of the app below its path still work. */
  get names(): string[] {
    return [...this.#rooms.keys()];
  }

  /**
   * Resolves to the file that a URL names.
   *
   * @throws {NotFoundException} for any other name
   */
  async fileAt(url: string): Promise<PageFile> {
    const name = pathOf(url).split('/').at(-1)!;
    const room = this.#rooms.get(name);
    if (room === undefined) throw new NotFoundException();
    return read(room, name);
  }

  /**
   * The page itself. Its links are relative, so that it works behind any prefix. Their base depends on whether the
   * requested URL ends with a slash.
   */
  async at(url: string, path: string): Promise<PageFile> {
    const hasSlash = pathOf(url).endsWith('/');
    const base = hasSlash ? './' : `${path.split('/').findLast(Boolean) ?? '.'}/`;
    const { type, content } = await read(this.room, 'index.html');
    return { type, content: content.replaceAll('{base}', encodeURI(base)) };
  }
}

function pathOf(url: string): string {
  return url.split('?', 1)[0]!;
}

// Where a file is. In bundled code this may be nowhere.
function placeOf(room: string, name: string): string {
  return `../${room}/public/${name}`;
}

function isThere(room: string, name: string): boolean {
  const place = placeOf(room, name);
  // Code that was bundled to CommonJS has no URL.
  return URL.canParse(place, import.meta.url) && existsSync(new URL(place, import.meta.url));
}

async function read(room: string, name: string): Promise<PageFile> {
  const file = new URL(placeOf(room, name), import.meta.url);
  return { type: TYPES[extname(name)]!, content: await readFile(file, 'utf8') };
}
