import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';

import { NotFoundException } from '@nestjs/common';

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

const SHARED_FOLDER = new URL('./public/', import.meta.url);
/** Files that every page has beside its own. */
export const SHARED_FILES = ['base.css', 'dom.js', 'icon.svg'] as const;

/** What a page answers with. */
export interface PageFile {
  readonly type: string;
  readonly content: string;
}

/** A static page of this package: `index.html`, the files beside it, and those that all pages share. */
export class ServedPage {
  readonly #files: ReadonlyMap<string, URL>;

  /** @param names the files of the folder, without `index.html` */
  constructor(
    private readonly folder: URL,
    names: readonly string[],
  ) {
    this.#files = new Map([
      ...SHARED_FILES.map((name) => [name, new URL(name, SHARED_FOLDER)] as const),
      ...names.map((name) => [name, new URL(name, folder)] as const),
    ]);
  }

  /** The names of the files beside the page: its routes, so that other routes of the app below its path still work. */
  get names(): string[] {
    return [...this.#files.keys()];
  }

  /**
   * Resolves to the file that a URL names.
   *
   * @throws {NotFoundException} for any other name
   */
  async fileAt(url: string): Promise<PageFile> {
    const file = this.#files.get(pathOf(url).split('/').at(-1)!);
    if (!file) throw new NotFoundException();
    return read(file);
  }

  /**
   * The page itself. Its links are relative, so that it works behind any prefix. Their base depends on whether the
   * requested URL ends with a slash.
   */
  async at(url: string, path: string): Promise<PageFile> {
    const hasSlash = pathOf(url).endsWith('/');
    const base = hasSlash ? './' : `${path.split('/').findLast(Boolean) ?? '.'}/`;
    const { type, content } = await read(new URL('index.html', this.folder));
    return { type, content: content.replaceAll('{base}', encodeURI(base)) };
  }
}

function pathOf(url: string): string {
  return url.split('?', 1)[0]!;
}

async function read(file: URL): Promise<PageFile> {
  return { type: TYPES[extname(file.pathname)]!, content: await readFile(file, 'utf8') };
}
