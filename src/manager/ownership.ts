import { assertContext, type UserExecutionContext } from '../context/user-execution-context.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import type { ManagedSocket } from '../wire/managed-socket.js';
import { managerOfSocket } from './manager-of-socket.js';
import type { ManagerRegistry } from './manager-registry.js';
import { IsolationViolationError } from './manager.errors.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** Checks to which user a connection belongs, and to which connection a socket belongs. Neither ever changes. */
export class Ownership {
  /** Violations since the start. */
  violations = 0;

  constructor(
    private readonly registry: ManagerRegistry,
    private readonly journal: Journal,
  ) {}

  /**
   * @throws {InvalidContextError} for a context that this library has not created
   * @throws {IsolationViolationError} for a connection of another user
   */
  assertConnection(context: UserExecutionContext): void {
    assertContext(context);
    const known = this.registry.get(context.connectionId);
    if (known && known.context.userId !== context.userId) {
      throw this.violation(context, 'This connection belongs to another user');
    }
  }

  /** @throws {IsolationViolationError} for a socket of another connection */
  assertSocket(context: UserExecutionContext, socket: ManagedSocket): void {
    const manager = managerOfSocket(socket);
    if (manager && manager !== this.registry.get(context.connectionId)) {
      throw this.violation(context, 'This socket belongs to another connection');
    }
  }

  /**
   * Attaches a socket to a manager and marks the manager as ready. The same socket a second time changes nothing.
   *
   * @throws {IsolationViolationError} when the socket has another manager, or the manager another socket
   */
  attach(manager: WebSocketManager, socket: ManagedSocket): void {
    if (manager.socket === socket) return;
    if (managerOfSocket(socket) || manager.socket) {
      throw this.violation(manager.context, 'This socket belongs to another connection');
    }
    manager.attach(socket);
    manager.markReady();
  }

  /** Counts a violation, records it in the journal, and returns the error to throw. */
  violation(context: UserExecutionContext, what: string): IsolationViolationError {
    this.violations += 1;
    this.journal.record('isolation-violation', { subject: subjectOf(context), what });
    return new IsolationViolationError(what);
  }
}
