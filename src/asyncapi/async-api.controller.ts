import {
  Controller,
  createParamDecorator,
  type ExecutionContext,
  Get,
  Res,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';

import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { LookGuard } from '../pages/look.guard.js';
import { requestOf } from '../pages/page-request.js';
import { PageResponses } from '../pages/page-responses.js';
import { ServedPage } from '../pages/served-page.js';
import { type AsyncApiInfo, documentOf } from './async-api-document.js';

/** The page, from `public`. */
export const PAGE = new ServedPage('asyncapi', ['page.css', 'page.js', 'schema.js']);

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
      private readonly responses: PageResponses,
    ) {}

    @Get()
    async page(@Url() url: string, @Res() response: object): Promise<void> {
      this.responses.send(response, await PAGE.at(url, path));
    }

    @Get('asyncapi.json')
    document(@Res() response: object): void {
      const content = JSON.stringify(documentOf(this.runtime, info), undefined, 2);
      this.responses.send(response, { type: 'application/json; charset=utf-8', content });
    }

    @Get(PAGE.names)
    async file(@Url() url: string, @Res() response: object): Promise<void> {
      this.responses.send(response, await PAGE.fileAt(url));
    }
  }
  return AsyncApiController;
}
