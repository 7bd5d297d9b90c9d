export type { WebSocketIsolationTracingOptions } from './open-telemetry.tracer.js';
export { WebSocketIsolationTracingModule } from './web-socket-isolation-tracing.module.js';
