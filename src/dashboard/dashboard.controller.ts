import {
  type CanActivate,
  Body,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  ForbiddenException,
  Get,
  HttpCode,
  Injectable,
  NotFoundException,
  Post,
  Query,
  Res,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import { DashboardAccess, requestOf } from './access.js';
import { DashboardApi } from './dashboard-api.js';
import { LookGuard } from './look.guard.js';
import { OperatorActions } from './operator-actions.js';
import { PAGE_FILES, pageAt, pageFile } from './page-files.js';
import { Pseudonyms } from './pseudonyms.js';
import { isFromOwnPage, isJson } from './same-origin.js';
import type { PageFile } from './served-page.js';

/** Admits actions of viewers who may act, and only from the page itself. */
@Injectable()
export class ActGuard implements CanActivate {
  constructor(
    private readonly access: DashboardAccess,
    private readonly api: DashboardApi,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = requestOf(context);
    if (!isJson(request) || !isFromOwnPage(request) || !this.api.isOwnToken(request)) {
      throw new ForbiddenException('Actions are taken from the page of the dashboard only.');
    }
    if (!(await this.access.mayAct(context))) {
      throw new ForbiddenException('You may look, but not act.');
    }
    return true;
  }
}

const Context = createParamDecorator((_data: unknown, context: ExecutionContext) => context);

/** Creates the controller class: its decorator needs the path, which comes from the options. */
export function createDashboardController(path: string): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(LookGuard)
  class DashboardController {
    readonly #pseudonyms = new Pseudonyms();

    constructor(
      private readonly api: DashboardApi,
      private readonly actions: OperatorActions,
      private readonly access: DashboardAccess,
      private readonly host: HttpAdapterHost,
    ) {}

    @Get()
    async page(@Context() context: ExecutionContext, @Res() response: object): Promise<void> {
      this.#send(response, await pageAt(requestOf(context).url, path));
    }

    @Get('state')
    async state(
      @Context() context: ExecutionContext,
      @Query() query: Record<string, unknown>,
      @Res() response: object,
    ): Promise<void> {
      await this.#json(context, response, () => this.api.state(context, query));
    }

    @Get('connections')
    async connections(
      @Context() context: ExecutionContext,
      @Query() query: Record<string, unknown>,
      @Res() response: object,
    ): Promise<void> {
      await this.#json(context, response, (hidden) => this.api.connections(query, hidden));
    }

    @Get('connection')
    async connection(
      @Context() context: ExecutionContext,
      @Query() query: Record<string, unknown>,
      @Res() response: object,
    ): Promise<void> {
      await this.#json(context, response, () => this.api.connection(query));
    }

    @Get('topics')
    async topics(
      @Context() context: ExecutionContext,
      @Query() query: Record<string, unknown>,
      @Res() response: object,
    ): Promise<void> {
      await this.#json(context, response, (hidden) => this.api.topics(query, hidden));
    }

    @Get('topic')
    async topic(
      @Context() context: ExecutionContext,
      @Query() query: Record<string, unknown>,
      @Res() response: object,
    ): Promise<void> {
      await this.#json(context, response, (hidden) => this.api.topic(query, hidden));
    }

    @Post('actions')
    @HttpCode(200)
    @UseGuards(ActGuard)
    async act(
      @Context() context: ExecutionContext,
      @Body() body: unknown,
      @Res() response: object,
    ): Promise<void> {
      const operator = await this.access.who(context);
      await this.#json(context, response, () => this.actions.run(body, operator));
    }

    // The files are listed by name, so that other routes of the app below this path still work.
    @Get([...PAGE_FILES])
    async file(@Context() context: ExecutionContext, @Res() response: object): Promise<void> {
      const name = requestOf(context).url.split('?', 1)[0]!.split('/').at(-1)!;
      const file = await pageFile(name);
      if (!file) throw new NotFoundException();
      this.#send(response, file);
    }

    // What identifies a user leaves the process only here.
    async #json(
      context: ExecutionContext,
      response: object,
      read: (hidden: Pseudonyms | undefined) => object | Promise<object>,
    ): Promise<void> {
      const hidden = (await this.access.maySeeIds(context)) ? undefined : this.#pseudonyms;
      const content = JSON.stringify(await read(hidden), hidden?.replace);
      this.#send(response, { type: 'application/json; charset=utf-8', content });
    }

    // Sent without a return value: an interceptor of the app that wraps all responses would break the page.
    #send(response: object, { type, content }: PageFile): void {
      const { httpAdapter } = this.host;
      httpAdapter.setHeader(response, 'Content-Type', type);
      httpAdapter.reply(response, content);
    }
  }
  return DashboardController;
}
