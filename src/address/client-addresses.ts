import type { IncomingMessage } from 'node:http';

import { forwarded, forwardedFor, type ForwardedNode, type NextNode } from './forwarded-headers.js';
import { canonicalAddress, maskedAddress } from './ip-address.js';
import { type TrustProxy, type Trusts, trustsOf } from './trusted-proxies.js';

/**
 * Why what a request says about its origin was not, or not wholly, believed. `untrusted`: the peer is no trusted proxy;
 * `malformed`: it cannot be read; `hidden`: a proxy does not name its client; `conflicting`: `X-Forwarded-For` and
 * `Forwarded` name different clients, so one of them was not written by the proxy.
 */
export type ForwardedFault = 'untrusted' | 'malformed' | 'hidden' | 'conflicting';

/** The parts of a request that say where it comes from. */
export interface RequestOrigin {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** Is told what goes wrong while an address is found. */
export interface AddressOwner {
  /** The function `handshake.trustProxy` of the app has failed. */
  trustFailed(error: unknown): void;
}

/**
 * Finds the addresses of clients: those of the peers or, behind the trusted proxies of `handshake.trustProxy`, those
 * that the proxies name. Inject it to get the address of an upgrade or HTTP request.
 */
export class ClientAddresses {
  /** How many headers were not believed since the start, by the reason. */
  readonly faults: Record<ForwardedFault, number> = {
    untrusted: 0,
    malformed: 0,
    hidden: 0,
    conflicting: 0,
  };
  readonly #trusts: Trusts | undefined;
  // Each request is judged, and counted, once.
  readonly #known = new WeakMap<RequestOrigin, string | undefined>();

  /** @internal Made by the module. @param trustProxy `undefined`: no proxy is believed */
  constructor(
    trustProxy: TrustProxy | undefined,
    private readonly logAddresses: 'masked' | 'full' | 'off',
    owner: AddressOwner,
  ) {
    this.#trusts =
      trustProxy === undefined
        ? undefined
        : trustsOf(trustProxy, (error) => owner.trustFailed(error));
  }

  /** Whether proxies are trusted. */
  get trustsProxies(): boolean {
    return this.#trusts !== undefined;
  }

  /**
   * The address of the client of a request: IPv4 as `192.0.2.1`, IPv6 in its shortest form. Where a proxy does not name
   * its client, or cannot be understood, the address of that proxy.
   *
   * @returns `undefined` for a peer on a Unix socket whose client no trusted proxy names
   */
  of(request: IncomingMessage | RequestOrigin): string | undefined {
    const origin: RequestOrigin = request;
    const { 'x-forwarded-for': list, forwarded: elements } = origin.headers;
    const peer = canonicalAddress(origin.socket.remoteAddress);
    if (list === undefined && elements === undefined) return peer;
    if (this.#known.has(origin)) return this.#known.get(origin);
    const address = this.#believed(peer, list?.toString(), elements?.toString());
    this.#known.set(origin, address);
    return address;
  }

  /** @internal The address as events, log lines and spans name it, by `handshake.logAddresses`. */
  shown(request: RequestOrigin): string | undefined {
    if (this.logAddresses === 'off') return undefined;
    const address = this.of(request);
    if (address === undefined || this.logAddresses === 'full') return address;
    return maskedAddress(address);
  }

  #believed(
    peer: string | undefined,
    list: string | undefined,
    elements: string | undefined,
  ): string | undefined {
    if (!this.#trusts?.(peer, 0)) return this.#doubted('untrusted', peer);
    const byList = list === undefined ? undefined : this.#client(peer, forwardedFor(list));
    if (elements === undefined) return byList;
    const next = forwarded(elements);
    if (!next) return this.#doubted('malformed', peer);
    const byElements = this.#client(peer, next);
    if (list === undefined || byList === byElements) return byElements;
    return this.#doubted('conflicting', peer);
  }

  // Goes from proxy to proxy, as far as they are trusted.
  #client(peer: string | undefined, next: NextNode): string | undefined {
    let address = peer;
    let hop = 1;
    for (let node: ForwardedNode | undefined = next(); node !== undefined; node = next()) {
      if (typeof node === 'string') return this.#doubted(node, address);
      address = node.address;
      if (!this.#trusts!(address, hop)) return address;
      hop += 1;
    }
    return address;
  }

  #doubted(fault: ForwardedFault, address: string | undefined): string | undefined {
    this.faults[fault] += 1;
    return address;
  }
}
