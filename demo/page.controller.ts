import { readFile } from 'node:fs/promises';

import { Controller, Get, Header, Req, StreamableFile } from '@nestjs/common';

// Only resources of this origin are allowed: no inline code, and nothing from other origins.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'";

const SCRIPTS = ['page.js', 'person.js', 'tab.js', 'chart.js', 'lists.js', 'words.js', 'limits.js'];
const FILES: Record<string, string> = {
  'page.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  ...Object.fromEntries(SCRIPTS.map((name) => [name, 'text/javascript; charset=utf-8'])),
};

/** Serves the page and its files. */
@Controller()
export class PageController {
  @Get()
  @Header('Content-Security-Policy', POLICY)
  page(): Promise<StreamableFile> {
    return file('index.html', 'text/html; charset=utf-8');
  }

  @Get(Object.keys(FILES))
  file(@Req() { path }: { path: string }): Promise<StreamableFile> {
    const name = path.slice(1);
    return file(name, FILES[name]!);
  }
}

async function file(name: string, type: string): Promise<StreamableFile> {
  return new StreamableFile(await readFile(new URL(`./public/${name}`, import.meta.url)), { type });
}
