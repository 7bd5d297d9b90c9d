import { type DynamicModule, Module } from '@nestjs/common';

import {
  aFunction,
  anArray,
  assertPlainOptions,
  aText,
  type OptionRules,
  trueOrFalse,
} from '../config/plain-options.js';
import { pageProviders } from '../pages/page.providers.js';
import { createAsyncApiController, PAGE } from './async-api.controller.js';
import { type AsyncApiModuleOptions, assertGuarded } from './async-api.options.js';

const RULES: OptionRules<AsyncApiModuleOptions> = {
  // The empty text is the root of the app.
  path: aText,
  imports: anArray,
  guard: aFunction,
  allowAnonymous: trueOrFalse,
  title: aText,
  version: aText,
  description: aText,
};

/**
 * Serves the AsyncAPI document of the app, and a page that reads it. Import it beside `WebSocketIsolationModule`.
 *
 * @example
 * ```ts
 * WebSocketIsolationAsyncApiModule.forRoot({ path: 'asyncapi', guard: DeveloperGuard, title: 'Chat', version: '1.0.0' })
 * ```
 */
@Module({})
export class WebSocketIsolationAsyncApiModule {
  /**
   * @throws {IsolationError} `INVALID_OPTIONS` naming every option that breaks its rule; `ASYNCAPI_UNGUARDED` without a
   * guard; `PAGE_FILES_MISSING` in bundled code
   */
  static forRoot(options: AsyncApiModuleOptions): DynamicModule {
    assertPlainOptions('WebSocketIsolationAsyncApiModule.forRoot()', options, RULES);
    assertGuarded(options);
    const page = 'the AsyncAPI page';
    PAGE.assertFiles(page);
    const { path = 'asyncapi', imports = [], guard, title, version, description } = options;
    return {
      module: WebSocketIsolationAsyncApiModule,
      imports,
      controllers: [createAsyncApiController(path, { title, version, description })],
      providers: pageProviders({ guard, page }),
    };
  }
}
