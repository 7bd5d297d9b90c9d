import { readFile } from 'node:fs/promises';

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

export interface PageFile {
  readonly type: string;
  readonly content: string;
}

/** A static page of this package: `index.html` and the files beside it. */
export class ServedPage {
  constructor(
    private readonly folder: URL,
    /** The files beside the page, each with its type. */
    private readonly types: Readonly<Record<string, string>>,
  ) {}

  /** Resolves to a file of the page; to `undefined` for any other name. */
  async file(name: string): Promise<PageFile | undefined> {
    const type = Object.hasOwn(this.types, name) ? this.types[name] : undefined;
    return type === undefined ? undefined : { type, content: await this.#read(name) };
  }

  /**
   * The page itself. Its links are relative, so that it works behind any prefix. Their base depends on whether the
   * requested URL ends with a slash.
   */
  async at(url: string, path: string): Promise<PageFile> {
    const hasSlash = url.split('?', 1)[0]!.endsWith('/');
    const base = hasSlash ? './' : `${path.split('/').findLast(Boolean) ?? '.'}/`;
    const html = await this.#read('index.html');
    return {
      type: 'text/html; charset=utf-8',
      content: html.replaceAll('{base}', encodeURI(base)),
    };
  }

  #read(name: string): Promise<string> {
    return readFile(new URL(name, this.folder), 'utf8');
  }
}
