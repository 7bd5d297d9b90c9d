export {
  type AsyncApiChannel,
  asyncApiDocument,
  type AsyncApiDocument,
  type AsyncApiInfo,
  type AsyncApiMessage,
  type AsyncApiOperation,
  type AsyncApiParameter,
} from './async-api-document.js';
export { type JsonSchema } from './json-schema.js';
export { WebSocketIsolationAsyncApiModule } from './async-api.module.js';
export { type AsyncApiModuleOptions } from './async-api.options.js';
