import type { UserExecutionContext } from '../context/user-execution-context.js';
import { HandlerRunner } from './handler-runner.js';
import { IdentityExpiry } from './identity-expiry.js';

/** The part of a connection that ends with its identity, and goes on with a renewed one. */
export abstract class ExpiringConnection extends HandlerRunner {
  // An identity that does not expire has none.
  #expiry: IdentityExpiry | undefined = undefined;

  constructor(...parts: ConstructorParameters<typeof HandlerRunner>) {
    super(...parts);
    this.watchExpiry();
  }

  /** Called periodically: a timer does not notice that the wall clock was set, or that the machine was asleep. */
  checkIdentity(): void {
    this.isExpired();
  }

  /**
   * Returns whether the identity has expired; if so, closes the connection. Called before each message: topics whose
   * grants have expired are left as well.
   */
  isExpired(): boolean {
    if (this.#expiry?.check()) return true;
    this.services.topics.checkGrants(this.manager);
    return false;
  }

  /** Goes on with a renewed identity: its metadata and its expiry apply from now on. */
  renewed(identity: UserExecutionContext): void {
    this.manager.replaceIdentity(identity);
    this.endExpiry();
    this.watchExpiry();
  }

  /** No identity ends the connection any more. */
  protected endExpiry(): void {
    this.#expiry?.release();
    this.#expiry = undefined;
  }

  private watchExpiry(): void {
    const { clock, options, renewals } = this.services;
    // A client is told only what it can act on.
    const noticeMs = renewals ? options.handshake.expiryNoticeMs : 0;
    this.#expiry = IdentityExpiry.of(this.manager, clock, noticeMs);
  }
}
