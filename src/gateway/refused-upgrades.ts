import type { WebSocketServer } from 'ws';

import type { ResolvedOptions } from '../config/isolation.options.js';
import { withoutCredentials } from '../handshake/credentials.js';
import type { Refusal, RefusalReason } from '../handshake/refusal.js';
import type { Journal } from '../journal/journal.js';
import type { Clock } from '../time/clock.js';
import { refuseWithClose, refuseWithHttp, type Upgrade } from '../upgrade/refusal-response.js';

/** Refuses upgrade requests, counts the refusals and records them in the journal. */
export class RefusedUpgrades {
  readonly #counts = new Map<RefusalReason, number>();

  constructor(
    private readonly options: ResolvedOptions,
    private readonly clock: Clock,
    private readonly journal: Journal,
  ) {}

  /** How many were refused since the start, by reason. */
  get counts(): ReadonlyMap<RefusalReason, number> {
    return this.#counts;
  }

  /**
   * Refuses an upgrade.
   *
   * @param rejectWith default: the option `handshake.rejectWith`
   */
  refuse(
    upgrade: Upgrade,
    refusal: Refusal,
    { webSocketServer, path }: { readonly webSocketServer: WebSocketServer; readonly path: string },
    rejectWith: 'http' | 'close' = this.options.handshake.rejectWith,
  ): void {
    this.#counts.set(refusal.reason, (this.#counts.get(refusal.reason) ?? 0) + 1);
    if (this.journal.isHeard('connection-refused')) this.#record(upgrade, refusal, path);
    if (upgrade.socket.destroyed) return;
    if (rejectWith === 'http') refuseWithHttp(upgrade, refusal);
    else {
      const { closeTimeoutMs } = this.options.cleanup;
      refuseWithClose(upgrade, refusal, webSocketServer, this.clock, closeTimeoutMs);
    }
  }

  #record({ request, startedAt }: Upgrade, refusal: Refusal, path: string): void {
    const { reason, status, code, userId, error } = refusal;
    this.journal.record('connection-refused', {
      reason,
      status,
      code,
      path,
      handshakeMs: this.clock.now() - startedAt,
      ...(userId !== undefined && { userId }),
      ...(error !== undefined && { error: withoutCredentials(error, request) }),
    });
  }
}
