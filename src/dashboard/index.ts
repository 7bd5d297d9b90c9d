export {
  WebSocketIsolationDashboardModule,
  type DashboardModuleOptions,
} from './dashboard.module.js';
export {
  type DashboardGuard,
  type DashboardGuardFunction,
  type DashboardOptions,
  type DashboardRequest,
} from './dashboard.options.js';
