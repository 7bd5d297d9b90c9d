import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import { PageAccess } from './page-access.js';
import { PAGE_HEADERS } from './served-page.js';

/** Admits viewers. Every response gets the headers of a page, refusals included. */
@Injectable()
export class LookGuard implements CanActivate {
  constructor(
    private readonly access: PageAccess,
    private readonly host: HttpAdapterHost,
  ) {}

  canActivate(context: ExecutionContext): Promise<boolean> {
    const response = context.switchToHttp().getResponse<object>();
    for (const [name, value] of Object.entries(PAGE_HEADERS)) {
      this.host.httpAdapter.setHeader(response, name, value);
    }
    return this.access.assertMayLook(context);
  }
}
