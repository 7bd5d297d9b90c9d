export { type MetricDefinition } from './metric.js';
export {
  ISOLATION_METRICS,
  WebSocketIsolationMetrics,
  type WebSocketIsolationMetricsOptions,
} from './web-socket-isolation-metrics.js';
export { WebSocketIsolationMetricsModule } from './web-socket-isolation-metrics.module.js';
