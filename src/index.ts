export { UserExecutionContext, type ConnectionIdentity } from './context/user-execution-context.js';
