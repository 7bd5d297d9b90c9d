import type { WebSocket, WebSocketServer } from 'ws';

import type { ClientAddresses } from '../address/client-addresses.js';
import { type AddressClass, addressClass } from '../address/ip-address.js';
import type { ResolvedOptions } from '../config/isolation.options.js';
import { withoutCredentials } from '../handshake/credentials.js';
import { type Refusal, type RefusalReason, refusalWay } from '../handshake/refusal.js';
import type { Journal } from '../journal/journal.js';
import type { Clock } from '../time/clock.js';
import {
  dismiss,
  refuseWithClose,
  refuseWithHttp,
  type Upgrade,
} from '../upgrade/refusal-response.js';
import { CloseCode } from '../wire/close-codes.js';

/** Refuses upgrade requests, counts the refusals and records them in the journal. */
export class RefusedUpgrades {
  readonly #byPath = new Map<string, Map<RefusalReason, number>>();
  readonly #byCode = new Map<number, number>();
  readonly #byClass = new Map<AddressClass, number>();

  constructor(
    private readonly options: ResolvedOptions,
    private readonly clock: Clock,
    private readonly journal: Journal,
    private readonly addresses: ClientAddresses,
  ) {}

  /** How many were refused since the start, by reason. */
  get counts(): ReadonlyMap<RefusalReason, number> {
    const counts = new Map<RefusalReason, number>();
    for (const ofPath of this.#byPath.values()) {
      for (const [reason, times] of ofPath) counts.set(reason, (counts.get(reason) ?? 0) + times);
    }
    return counts;
  }

  /** How many were refused since the start, by the path of the gateway and by reason. */
  get byPath(): ReadonlyMap<string, ReadonlyMap<RefusalReason, number>> {
    return this.#byPath;
  }

  /** How many were refused since the start, by the close code. */
  get byCode(): ReadonlyMap<number, number> {
    return this.#byCode;
  }

  /** How many were refused since the start, by the class of the client's address. */
  get byAddressClass(): ReadonlyMap<AddressClass, number> {
    return this.#byClass;
  }

  /**
   * Refuses an upgrade.
   *
   * @param way default: by the option `handshake.rejectWith`
   */
  refuse(
    upgrade: Upgrade,
    refusal: Refusal,
    { webSocketServer, path }: { readonly webSocketServer: WebSocketServer; readonly path: string },
    way: 'http' | 'close' = refusalWay(this.options.handshake.rejectWith, refusal),
  ): void {
    let ofPath = this.#byPath.get(path);
    if (!ofPath) this.#byPath.set(path, (ofPath = new Map()));
    count(ofPath, refusal.reason);
    count(this.#byCode, refusal.code);
    count(this.#byClass, addressClass(this.addresses.of(upgrade.request)));
    if (this.journal.isHeard('connection-refused')) this.#record(upgrade, refusal, path);
    if (upgrade.socket.destroyed) return;
    if (way === 'http') refuseWithHttp(upgrade, refusal);
    else {
      const { closeTimeoutMs } = this.options.cleanup;
      refuseWithClose(upgrade, refusal, webSocketServer, this.clock, closeTimeoutMs);
    }
  }

  /** Closes the socket of a connection that has ended while `ws` wrote the 101. */
  dismiss(client: WebSocket): void {
    dismiss(client, CloseCode.GOING_AWAY, '', this.clock, this.options.cleanup.closeTimeoutMs);
  }

  #record({ request, startedAt }: Upgrade, refusal: Refusal, path: string): void {
    const { reason, status, code, userId, error } = refusal;
    const address = this.addresses.shown(request);
    this.journal.record('connection-refused', {
      reason,
      status,
      code,
      path,
      handshakeMs: this.clock.now() - startedAt,
      ...(address !== undefined && { address }),
      ...(userId !== undefined && { userId }),
      ...(error !== undefined && { error: withoutCredentials(error, request) }),
    });
  }
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
