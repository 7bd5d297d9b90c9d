import { type DynamicModule, Module, type ModuleMetadata } from '@nestjs/common';

import { DashboardAccess } from './access.js';
import { DashboardApi } from './dashboard-api.js';
import { createDashboardController } from './dashboard.controller.js';
import {
  DASHBOARD_OPTIONS,
  type DashboardOptions,
  resolveDashboardOptions,
} from './dashboard.options.js';
import { OperatorActions } from './operator-actions.js';
import { Overview } from './overview.js';
import { Watch } from './watch.js';

/** Where the dashboard is, and what its guards need. */
export interface DashboardModuleOptions extends DashboardOptions {
  /** Path of the page, below the application's global prefix. Default: `dashboard`. */
  readonly path?: string | undefined;
  /** Modules whose providers a guard class injects, where it is not a provider of the app itself. */
  readonly imports?: ModuleMetadata['imports'];
}

/**
 * A page that shows what the isolation does, live. Import it beside `WebSocketIsolationModule`.
 *
 * @example
 * ```ts
 * WebSocketIsolationDashboardModule.forRoot({ path: 'dashboard', guard: AdminGuard, canAct: SuperAdminGuard })
 * ```
 */
@Module({})
export class WebSocketIsolationDashboardModule {
  /** @throws {IsolationError} `DASHBOARD_UNGUARDED` without a guard; `INVALID_DASHBOARD_OPTIONS` */
  static forRoot(options: DashboardModuleOptions): DynamicModule {
    const { path = 'dashboard', imports = [], ...rest } = options;
    return {
      module: WebSocketIsolationDashboardModule,
      imports,
      controllers: [createDashboardController(path)],
      providers: [
        { provide: DASHBOARD_OPTIONS, useValue: resolveDashboardOptions(rest) },
        DashboardAccess,
        DashboardApi,
        OperatorActions,
        Overview,
        Watch,
      ],
    };
  }
}
