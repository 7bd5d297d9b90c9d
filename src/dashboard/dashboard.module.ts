import { type DynamicModule, Module, type ModuleMetadata } from '@nestjs/common';

import {
  aFunction,
  anArray,
  aText,
  assertPlainOptions,
  type OptionRules,
  trueOrFalse,
  wholeNumberFromOne,
} from '../config/plain-options.js';
import { pageProviders } from '../pages/page.providers.js';
import { DashboardApi } from './dashboard-api.js';
import { createDashboardController } from './dashboard.controller.js';
import {
  DASHBOARD_OPTIONS,
  type DashboardOptions,
  resolveDashboardOptions,
} from './dashboard.options.js';
import { Incidents } from './incidents.js';
import { NodeLoadReport } from './node-load.js';
import { OperatorActions } from './operator-actions.js';
import { Overview } from './overview.js';
import { PAGE } from './page-files.js';
import { Viewers } from './viewers.js';
import { Watch } from './watch.js';

/** The options of the dashboard, with its path and the modules that its guards need. */
export interface DashboardModuleOptions extends DashboardOptions {
  /** Path of the page, below the application's global prefix. Default: `dashboard`. */
  readonly path?: string | undefined;
  /** Modules whose providers a guard class injects, if the class is not a provider of the app itself. */
  readonly imports?: ModuleMetadata['imports'];
}

const RULES: OptionRules<DashboardModuleOptions> = {
  // The empty text is the root of the app.
  path: aText,
  imports: anArray,
  guard: aFunction,
  allowAnonymous: trueOrFalse,
  canAct: aFunction,
  canSeeIds: aFunction,
  whoIs: aFunction,
  maxViewers: wholeNumberFromOne,
  keepHistory: trueOrFalse,
};

/**
 * A page that shows connections, users, cleanups and events live. Import it beside `WebSocketIsolationModule`.
 *
 * @example
 * ```ts
 * WebSocketIsolationDashboardModule.forRoot({ path: 'dashboard', guard: AdminGuard, canAct: SuperAdminGuard })
 * ```
 */
@Module({})
export class WebSocketIsolationDashboardModule {
  /**
   * @throws {IsolationError} `INVALID_OPTIONS` naming every option that breaks its rule; `DASHBOARD_UNGUARDED` without
   * a guard; `PAGE_FILES_MISSING` in bundled code
   */
  static forRoot(options: DashboardModuleOptions): DynamicModule {
    assertPlainOptions('WebSocketIsolationDashboardModule.forRoot()', options, RULES);
    const { path = 'dashboard', imports = [], ...rest } = options;
    const resolved = resolveDashboardOptions(rest);
    PAGE.assertFiles(resolved.page);
    return {
      module: WebSocketIsolationDashboardModule,
      imports,
      controllers: [createDashboardController(path)],
      providers: [
        ...pageProviders(resolved),
        { provide: DASHBOARD_OPTIONS, useValue: resolved },
        DashboardApi,
        Incidents,
        NodeLoadReport,
        OperatorActions,
        Overview,
        Viewers,
        Watch,
      ],
    };
  }
}
