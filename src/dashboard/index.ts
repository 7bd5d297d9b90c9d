export {
  WebSocketIsolationDashboardModule,
  type DashboardModuleOptions,
} from './dashboard.module.js';
export { type DashboardOptions } from './dashboard.options.js';
export { type PageRequest as DashboardRequest } from '../pages/page-request.js';
export {
  type PageGuard as DashboardGuard,
  type PageGuardFunction as DashboardGuardFunction,
} from '../pages/page.options.js';
