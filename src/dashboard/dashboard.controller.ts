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
  Post,
  Query,
  Res,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';

import { LookGuard } from '../pages/look.guard.js';
import { requestOf } from '../pages/page-request.js';
import { PageResponses } from '../pages/page-responses.js';
import { DashboardApi } from './dashboard-api.js';
import { OperatorActions } from './operator-actions.js';
import { PAGE } from './page-files.js';
import { Pseudonyms } from './pseudonyms.js';
import { isFromOwnPage, isJson } from './same-origin.js';
import { Viewers } from './viewers.js';

/** Admits actions of viewers who may act, and only from the page itself. */
@Injectable()
export class ActGuard implements CanActivate {
  constructor(
    private readonly viewers: Viewers,
    private readonly api: DashboardApi,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = requestOf(context);
    if (!isJson(request) || !isFromOwnPage(request) || !this.api.isOwnToken(request)) {
      throw new ForbiddenException('Actions are taken from the page of the dashboard only.');
    }
    if (!(await this.viewers.mayAct(context))) {
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
      private readonly viewers: Viewers,
      private readonly responses: PageResponses,
    ) {}

    @Get()
    async page(@Context() context: ExecutionContext, @Res() response: object): Promise<void> {
      this.responses.send(response, await PAGE.at(requestOf(context).url, path));
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
      const operator = await this.viewers.who(context);
      await this.#json(context, response, () => this.actions.run(body, operator));
    }

    @Get(PAGE.names)
    async file(@Context() context: ExecutionContext, @Res() response: object): Promise<void> {
      this.responses.send(response, await PAGE.fileAt(requestOf(context).url));
    }

    // What identifies a user leaves the process only here.
    async #json(
      context: ExecutionContext,
      response: object,
      read: (hidden: Pseudonyms | undefined) => object | Promise<object>,
    ): Promise<void> {
      const hidden = (await this.viewers.maySeeIds(context)) ? undefined : this.#pseudonyms;
      const content = JSON.stringify(await read(hidden), hidden?.replace);
      this.responses.send(response, { type: 'application/json; charset=utf-8', content });
    }
  }
  return DashboardController;
}
