import type { AnyContract } from '../contract/contract.js';
import type { NoContract } from '../contract/message-types.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { AskingManager } from './asking-manager.js';

// Kept beside the managers, so that a connection that never renews takes no memory for it.
const renewed = new WeakMap<IdentifiedManager, UserExecutionContext>();

/** The part of a manager that knows the identity as it is now: a client may renew it while it stays connected. */
export abstract class IdentifiedManager<
  C extends AnyContract = NoContract,
> extends AskingManager<C> {
  /**
   * Plain data of the identity, for example roles. A renewal replaces it, while `context.metadata` stays as it was
   * when the client connected. Deeply frozen.
   */
  get metadata(): Readonly<Record<string, unknown>> {
    return this.identity.metadata;
  }

  /** When the identity expires; `undefined` where it does not. A renewal moves it. */
  get expiresAt(): Date | undefined {
    return this.identity.expiresAt;
  }

  /** When the identity was last renewed; `undefined` before the first time. */
  get renewedAt(): Date | undefined {
    return renewed.get(this)?.createdAt;
  }

  /** @internal The context with what the last renewal has brought. */
  get identity(): UserExecutionContext {
    return renewed.get(this) ?? this.context;
  }

  /** @internal Takes over what a renewal has brought. */
  replaceIdentity(identity: UserExecutionContext): void {
    renewed.set(this, identity);
  }
}
