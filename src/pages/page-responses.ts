import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import type { PageFile } from './served-page.js';

/** Sends what a page answers with, on Express and on Fastify. */
@Injectable()
export class PageResponses {
  constructor(private readonly host: HttpAdapterHost) {}

  /** Sent without a return value: an interceptor of the app that wraps all responses would break the page. */
  send(response: object, { type, content }: PageFile): void {
    const { httpAdapter } = this.host;
    httpAdapter.setHeader(response, 'Content-Type', type);
    httpAdapter.reply(response, content);
  }
}
