import {
  Controller,
  createParamDecorator,
  type ExecutionContext,
  Get,
  NotFoundException,
  Res,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import { requestOf } from '../dashboard/access.js';
import { LookGuard } from '../dashboard/look.guard.js';
import { type PageFile, ServedPage } from '../dashboard/served-page.js';
import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { type AsyncApiInfo, documentOf } from './async-api-document.js';

const FILES = {
  'icon.svg': 'image/svg+xml',
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'schema.js': 'text/javascript; charset=utf-8',
};
const PAGE = new ServedPage(new URL('./public/', import.meta.url), FILES);

const Url = createParamDecorator(
  (_data: unknown, context: ExecutionContext) => requestOf(context).url,
);

/** Creates the controller class: its decorator needs the path, which comes from the options. */
export function createAsyncApiController(path: string, info: AsyncApiInfo): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(LookGuard)
  class AsyncApiController {
    constructor(
      private readonly runtime: GatewayRuntime,
      private readonly host: HttpAdapterHost,
    ) {}

    @Get()
    async page(@Url() url: string, @Res() response: object): Promise<void> {
      this.#send(response, await PAGE.at(url, path));
    }

    @Get('asyncapi.json')
    document(@Res() response: object): void {
      const content = JSON.stringify(documentOf(this.runtime, info), undefined, 2);
      this.#send(response, { type: 'application/json; charset=utf-8', content });
    }

    // The files are listed by name, so that other routes of the app below this path still work.
    @Get(Object.keys(FILES))
    async file(@Url() url: string, @Res() response: object): Promise<void> {
      const file = await PAGE.file(url.split('?', 1)[0]!.split('/').at(-1)!);
      if (!file) throw new NotFoundException();
      this.#send(response, file);
    }

    // Sent without a return value: an interceptor of the app that wraps all responses would break the page.
    #send(response: object, { type, content }: PageFile): void {
      const { httpAdapter } = this.host;
      httpAdapter.setHeader(response, 'Content-Type', type);
      httpAdapter.reply(response, content);
    }
  }
  return AsyncApiController;
}
