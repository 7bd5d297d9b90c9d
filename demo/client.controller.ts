import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { Controller, Get, NotFoundException, Param, StreamableFile } from '@nestjs/common';

/** The client of the package, as it is in there: the page has no bundler. The variable is for tests from source. */
const FOLDER =
  process.env['DEMO_CLIENT'] ??
  dirname(createRequire(import.meta.url).resolve('nestjs-websocket-isolation/client'));

/** Serves the modules of the client, which import only each other. */
@Controller('client')
export class ClientController {
  @Get(':name')
  async module(@Param('name') name: string): Promise<StreamableFile> {
    if (!/^[\w.-]+\.js$/.test(name)) throw new NotFoundException();
    const text = await readFile(join(FOLDER, name)).catch(() => undefined);
    if (!text) throw new NotFoundException();
    return new StreamableFile(text, { type: 'text/javascript; charset=utf-8' });
  }
}
