import { IsolationError } from '../errors/isolation-error.js';
import { UserExecutionContext } from '../context/user-execution-context.js';
import { WebSocketManager } from '../manager/web-socket-manager.js';
import { ConnectionRequest } from './connection-request.js';

/**
 * Checks the payload that the app's `ContextIdStrategy` gives to durable providers, and the values in it. Connections
 * share durable providers, which outlive them.
 *
 * @throws {IsolationError} `PAYLOAD_WITH_IDENTITY` for a payload that belongs to a connection
 */
export function assertNoIdentity(payload: unknown): void {
  if (typeof payload !== 'object' || payload === null) return;
  const found = [payload, ...Object.values(payload)].find(belongsToConnection);
  if (!found) return;
  const { name } = (found as object).constructor;
  throw new IsolationError(
    'PAYLOAD_WITH_IDENTITY',
    `The payload of the ContextIdStrategy is, or holds, the ${name} of one connection, and durable providers would show it ` +
      'to all connections that share them. Use plain values that are the same for all of these connections, ' +
      'for example payload: { tenantId }.',
  );
}

function belongsToConnection(value: unknown): boolean {
  return (
    ConnectionRequest.isOne(value) ||
    value instanceof UserExecutionContext ||
    value instanceof WebSocketManager
  );
}
