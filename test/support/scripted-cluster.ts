import type { Cluster, ClusterDefinition } from '../../src/cluster/cluster.js';
import type {
  ClusterLease,
  ClusterSlots,
  HeldTraffic,
  LeaseAnswer,
  SlotHolder,
} from '../../src/cluster/cluster-slots.js';
import type { ClusterDelivery } from '../../src/cluster/cluster-delivery.js';
import {
  CLUSTER_FAILURES,
  type ClusterFailure,
  type ClusterStatus,
} from '../../src/cluster/cluster-status.js';

/** A requested slot. */
export class ScriptedLease implements ClusterLease {
  releases = 0;
  answerWith!: (answer: LeaseAnswer) => void;
  readonly answer = new Promise<LeaseAnswer>((resolve) => {
    this.answerWith = resolve;
  });

  constructor(
    readonly userId: string,
    readonly connectionId: string,
  ) {}

  release(): void {
    this.releases += 1;
  }
}

const NO_FAILURES = Object.fromEntries(CLUSTER_FAILURES.map((reason) => [reason, 0])) as Record<
  ClusterFailure,
  number
>;

const NOTHING = { answers: new Map<string, never>(), silent: [] };

/** Delivery in a cluster without other nodes. */
const NOBODY_ELSE: ClusterDelivery = {
  useLocalDelivery: () => undefined,
  send: () => undefined,
  sendAndReport: () => Promise.resolve(NOTHING),
  revoke: () => Promise.resolve({ ...NOTHING, isRecorded: true }),
  connectionsOf: () => Promise.resolve(NOTHING),
};

/** A cluster whose lease answers the test decides. */
export class ScriptedCluster implements Cluster, ClusterSlots {
  readonly nodeId = 'scripted';
  readonly slots = this;
  readonly delivery = NOBODY_ELSE;
  readonly leases: ScriptedLease[] = [];
  readonly held = new Set<HeldTraffic>();
  readonly calls: string[] = [];
  /** Called with the name of each life-cycle call, before it is recorded. */
  onCall: (name: string) => void = () => undefined;
  freshUntil = Number.POSITIVE_INFINITY;
  holder: SlotHolder | undefined;

  /** @param always the immediate answer to all leases, if the test does not decide each of them */
  constructor(private readonly always?: LeaseAnswer) {}

  get definition(): ClusterDefinition {
    return { create: () => this };
  }

  /** The number of releases of each requested lease. */
  get releases(): number[] {
    return this.leases.map(({ releases }) => releases);
  }

  lease(userId: string, connectionId: string): ClusterLease {
    const lease = new ScriptedLease(userId, connectionId);
    this.leases.push(lease);
    if (this.always) lease.answerWith(this.always);
    return lease;
  }

  hold(held: HeldTraffic): void {
    this.held.add(held);
  }

  useHolder(holder: SlotHolder): void {
    this.holder = holder;
  }

  nodeLimit(limit: number): number {
    return limit;
  }

  createHistory(): never {
    throw new Error('A scripted cluster keeps no history.');
  }

  join(): Promise<void> {
    return this.#called('join');
  }

  drain(): Promise<void> {
    return this.#called('drain');
  }

  leave(): Promise<void> {
    return this.#called('leave');
  }

  status(): ClusterStatus {
    return {
      state: 'up',
      since: 0,
      nodeId: this.nodeId,
      nodes: [],
      leases: { held: this.leases.length, unleased: 0 },
      counters: { failures: NO_FAILURES, lost: 0, evicted: 0, restored: 0, unreadable: 0 },
      renewedAt: 0,
    };
  }

  #called(name: string): Promise<void> {
    this.onCall(name);
    this.calls.push(name);
    return Promise.resolve();
  }
}
