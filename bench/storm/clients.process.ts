// A crowd of clients, in a separate process.
import { constants, setPriority } from 'node:os';

import { answer } from '../../lab/remote.js';
import {
  fromAddress,
  type HelloAnswer,
  naiveClient,
  ourClient,
  type StormClient,
  type StormClientOwner,
} from './storm-client.js';
import { type TurnDelay, TurnDelays } from './turn-delays.js';

const delays = new TurnDelays();

/** Loopback addresses of a process: each has its own range of ports. */
const ADDRESSES = 4;

export interface Crowd {
  readonly url: string;
  readonly isOurs: boolean;
  readonly count: number;
  /** New clients per second. */
  readonly perSecond: number;
  /** Makes users and addresses of several crowds differ. */
  readonly number: number;
  /** Whether its messages are measured. */
  readonly isMeasured: boolean;
}

/** What has become of a crowd since the storm began. */
export interface CrowdState {
  /** Clients that have lost their connection. */
  readonly cut: number;
  /** Clients that are served now, with those who were never cut. */
  readonly served: number;
  /** Attempts that failed, beside the cuts. */
  readonly failed: number;
}

type Whereabouts = 'connecting' | 'open' | 'waiting' | 'closed for good';

class Member implements StormClientOwner {
  /** Of a client that is not served: what it is doing, and since when. */
  where: Whereabouts = 'connecting';
  since = performance.now();
  client: StormClient | undefined;
  node = 0;
  isServed = false;
  wasCut = false;
  // Number of a hello → when it was said. The first one over a connection tells whether it is served.
  #said = new Map<number, number>();
  #first = 0;

  attempted(): void {
    this.#is('connecting');
  }

  opened(): void {
    this.#is('open');
    lastHello += 1;
    this.#first = lastHello;
    this.client!.sayHello(lastHello);
  }

  answered({ node, number }: HelloAnswer): void {
    const saidAt = this.#said.get(number);
    if (saidAt !== undefined) latencies.push(performance.now() - saidAt);
    this.#said.delete(number);
    if (this.isServed || number !== this.#first) return;
    this.node = node;
    this.isServed = true;
    served += 1;
    if (hasBegun) servedAt.push(Date.now());
  }

  ended(isForGood = false): void {
    this.#is(isForGood ? 'closed for good' : 'waiting');
    this.#said.clear();
    if (hasBegun && !this.isServed) failed += 1;
    if (!this.isServed) return;
    this.isServed = false;
    served -= 1;
    if (!hasBegun || this.wasCut) return;
    this.wasCut = true;
    cut += 1;
  }

  ask(): void {
    if (!this.isServed || this.wasCut) return;
    lastHello += 1;
    this.#said.set(lastHello, performance.now());
    this.client!.sayHello(lastHello);
  }

  #is(where: Whereabouts): void {
    this.where = where;
    this.since = performance.now();
  }
}

/** What the clients that are not served are doing, for a report on those that never are. */
function whereabouts(): string[] {
  const now = performance.now();
  return members
    .filter(({ isServed }) => !isServed)
    .map(({ where, since }) => `${where} for ${((now - since) / 1_000).toFixed(1)} s`);
}

let members: Member[] = [];
let lastHello = 0;
let hasBegun = false;
let [served, cut, failed] = [0, 0, 0];
let servedAt: number[] = [];
let latencies: number[] = [];
let asking: NodeJS.Timeout | undefined;

const methods = {
  /** Opens clients at a constant rate. They need not be served when it resolves. */
  async open({ url, isOurs, count, perSecond, number, isMeasured }: Crowd): Promise<void> {
    // Real clients have machines of their own: a crowd takes what the nodes and the proxy leave.
    if (!isMeasured) setPriority(constants.priority.PRIORITY_LOW);
    const make = isOurs ? ourClient : naiveClient;
    const startedAt = performance.now();
    while (members.length < count) {
      const due = ((performance.now() - startedAt) * perSecond) / 1_000;
      for (; members.length < Math.min(count, due);) {
        const index = members.length;
        const address = `127.0.${number + 1}.${1 + (index % ADDRESSES)}`;
        const member = new Member();
        members.push(member);
        const user = `${url}?user=client-${number}-${index}`;
        member.client = make(user, fromAddress(address), member);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  },

  state: (): CrowdState => ({ cut, served, failed }),

  whereabouts,

  /** How long answers have waited in this process since the last call. */
  delays: (): TurnDelay => delays.take(),

  /** How many clients each node serves, by its process. */
  nodes(): Record<number, number> {
    const counts: Record<number, number> = {};
    for (const { node, isServed } of members) {
      if (isServed) counts[node] = (counts[node] ?? 0) + 1;
    }
    return counts;
  },

  /** From now on, lost connections count. */
  begin(): void {
    hasBegun = true;
    latencies = [];
  },

  /** When clients were served again, in epoch milliseconds. */
  servedAt: (): number[] => servedAt,

  /** Asks clients that have never been cut, one after another. */
  startAsking(perSecond: number): void {
    let next = 0;
    asking = setInterval(() => members[(next += 1) % members.length]!.ask(), 1_000 / perSecond);
  },

  /** The latencies of all answers since the last call, in milliseconds. */
  latencies(): number[] {
    const all = latencies;
    latencies = [];
    return all;
  },

  close(): void {
    clearInterval(asking);
    for (const { client } of members) client?.close();
    members = [];
    servedAt = [];
  },
};

export type CrowdMethods = typeof methods;

answer(methods);
