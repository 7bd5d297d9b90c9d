import type { Provider } from '@nestjs/common';

import { PageAccess } from './page-access.js';
import { PageGuards } from './page-guards.js';
import { PageResponses } from './page-responses.js';
import { PAGE_OPTIONS, type PageOptions } from './page.options.js';

/** What the module of a page provides, for `LookGuard` and its controller. */
export function pageProviders(options: PageOptions): Provider[] {
  return [{ provide: PAGE_OPTIONS, useValue: options }, PageAccess, PageGuards, PageResponses];
}
