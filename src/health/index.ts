export { type HealthProblem, type HealthThresholds } from './health-rules.js';
export { WebSocketIsolationHealthIndicator } from './web-socket-isolation.health.js';
export { WebSocketIsolationHealthModule } from './web-socket-isolation-health.module.js';
