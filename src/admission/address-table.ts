import type { Duplex } from 'node:stream';

import { clientNetwork } from '../address/ip-address.js';
import type { AddressLimits } from '../config/admission-options.js';
import { Link, LinkedList } from '../structures/linked-list.js';
import type { Clock, Release } from '../time/clock.js';
import { ArrivalRate } from './arrival-rate.js';

/** Networks without a connection that are remembered for their rate. Beyond it, the one seen longest ago is dropped. */
const MOST_IDLE = 20_000;

/** Milliseconds after which the bucket of a network is full, since it holds the tokens of one second. */
const SWEEP_MS = 1_000;

/** One client network: its rate, and how many sockets it holds. */
class Network {
  /** Its place among those that hold no socket. */
  readonly link = new Link<Network>(this);
  sockets = 0;
  seenAt = 0;

  constructor(
    readonly name: string,
    /** `undefined` without a rate. */
    readonly rate: ArrivalRate | undefined,
  ) {}
}

/** Why an address must not connect now, with the milliseconds to wait where they are known. */
export interface AddressRefusal {
  readonly reason: 'address-rate' | 'address-limit';
  readonly retryAfterMs?: number;
}

/**
 * Counts the sockets and the arrivals of each client network: an IPv4 address, or a /64 of IPv6. A network is forgotten
 * when it holds no socket and its bucket is full again, so an empty server has an empty table.
 */
export class AddressTable {
  readonly #networks = new Map<string, Network>();
  // Those without a socket, the one seen longest ago first.
  readonly #idle = new LinkedList<Network>();
  #stopSweep: Release | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly limits: Readonly<AddressLimits>,
  ) {}

  /** How many networks are remembered. */
  get size(): number {
    return this.#networks.size;
  }

  /**
   * Whether a client may connect from an address. Takes a token of its rate if so.
   *
   * @param isReturning only the number of sockets counts
   */
  judge(address: string, isReturning: () => boolean): AddressRefusal | undefined {
    const { maxConnections = Number.POSITIVE_INFINITY } = this.limits;
    const network = this.#find(clientNetwork(address));
    const now = this.clock.now();
    network.seenAt = now;
    if (network.sockets === 0) this.#rest(network);
    if (network.sockets >= maxConnections) return { reason: 'address-limit' };
    const { rate } = network;
    if (!rate || rate.take(now) || isReturning()) return undefined;
    return { reason: 'address-rate', retryAfterMs: rate.queue(now, false) };
  }

  /** Counts a socket of an address until it closes. */
  hold(address: string, socket: Duplex): void {
    if (socket.closed) return;
    const network = this.#find(clientNetwork(address));
    network.sockets += 1;
    network.link.remove();
    socket.once('close', () => {
      network.sockets -= 1;
      const isKnown = this.#networks.get(network.name) === network;
      if (network.sockets === 0 && isKnown) this.#rest(network);
    });
  }

  /** Stops the timer. The table is not used afterwards. */
  dispose(): void {
    this.#stopSweep?.();
    this.#stopSweep = undefined;
    this.#networks.clear();
  }

  #find(name: string): Network {
    let network = this.#networks.get(name);
    if (!network) {
      const { perSecond } = this.limits;
      const rate = perSecond && new ArrivalRate(perSecond, perSecond, this.clock.now());
      network = new Network(name, rate || undefined);
      this.#networks.set(name, network);
    }
    return network;
  }

  // A network without a socket is remembered until its bucket is full.
  #rest(network: Network): void {
    this.#idle.append(network.link);
    if (this.#idle.size > MOST_IDLE) this.#forget(this.#idle.first!);
    this.#stopSweep ??= this.clock.every(SWEEP_MS, () => this.#sweep());
  }

  #sweep(): void {
    const fullSince = this.clock.now() - SWEEP_MS;
    for (let first = this.#idle.first; first; first = this.#idle.first) {
      if (first.seenAt > fullSince) return;
      this.#forget(first);
    }
    this.#stopSweep?.();
    this.#stopSweep = undefined;
  }

  #forget(network: Network): void {
    network.link.remove();
    this.#networks.delete(network.name);
  }
}
