import { readFileSync } from 'node:fs';

import { transformSync } from '@swc/core';
import { Controller, Get, Header, Param, Query } from '@nestjs/common';

/** Serves the client to pages, file by file as the package has it: `import { connect } from '/client/index.js'`. */
@Controller()
export class ClientScripts {
  @Get()
  @Header('Content-Type', 'text/html')
  page(): string {
    return '<!doctype html><title>test</title>';
  }

  /** A page that runs a script from elsewhere. */
  @Get('driven')
  @Header('Content-Type', 'text/html')
  driven(@Query('script') script: string): string {
    return `<!doctype html><title>test</title><script type="module" src="${script}"></script>`;
  }

  @Get('client/:name')
  @Header('Content-Type', 'text/javascript')
  script(@Param('name') name: string): string {
    return clientScript(name);
  }
}

/** A file of the client, as the package has it. */
export function clientScript(name: string): string {
  const file = `../../src/client/${name.replace(/\.js$/, '.ts')}`;
  return transformSync(readFileSync(new URL(file, import.meta.url), 'utf8'), {
    swcrc: false,
    jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
    module: { type: 'es6' },
  }).code;
}
