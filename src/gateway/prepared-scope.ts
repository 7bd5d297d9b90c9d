import type { ConnectionHooks } from '../manager/manager-owner.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { ConnectionScope } from '../scope/connection-scope.js';

/** The hooks of a manager that has a slot but no socket yet. At its end, only the scope has to be disposed of. */
export class PreparedScope implements ConnectionHooks {
  constructor(
    private readonly scope: ConnectionScope,
    private readonly manager: WebSocketManager,
    readonly path: string,
  ) {}

  /** Makes the instances of the scope. Rejects, or throws, with the error of a constructor. */
  open(): Promise<void> | undefined {
    const pending = this.scope.open();
    return pending && this.#opened(pending);
  }

  closing(): void {
    // No code of the app runs yet.
  }

  received(): void {
    // There is no socket yet.
  }

  ignored(): void {
    // There is no socket yet.
  }

  disconnected(): undefined {
    return undefined;
  }

  released(): Promise<void> | undefined {
    return this.scope.dispose((dispose, name) =>
      this.manager.runStep(`dispose ${name}`, dispose, ignoreFault),
    );
  }

  // The handshake may end before the scope is complete: instances made after that are disposed of here.
  async #opened(pending: Promise<void>): Promise<void> {
    await pending;
    if (!this.manager.isActive) await this.released();
  }
}

function ignoreFault(): void {
  // The handshake has failed already, and its refusal has the reason.
}
