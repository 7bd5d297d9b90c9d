import { expect } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ClusterNode } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';

export const LIMIT = 3;
export const PATIENCE_MS = 900_000;
const TIMES = { renewMs: 400, acquireTimeoutMs: 500, commandTimeoutMs: 700 };
const SHORT_LEASE_MS = 2_000;
/** A long lease, so that no test passes only because a lease ends. */
const LONG_LEASE_MS = 600_000;

/** Two nodes, each with its own proxied connection to Redis, and a replica that may take over. */
export class World {
  /** Actions that run during the fault, and settle after it. */
  readonly pending: Promise<unknown>[] = [];
  /** Actions that the test awaits only when the world is stopped. */
  readonly background: Promise<unknown>[] = [];
  /** Whether the fault is over and the final state is as expected. */
  isSettled = false;

  private constructor(
    public redis: TestRedis,
    readonly replica: TestRedis,
    /** The proxy between Redis and its replica. */
    readonly copying: TcpProxy,
    readonly lines: readonly [TcpProxy, TcpProxy],
    /** The node that a fault affects, if it affects one node only. */
    readonly first: ClusterNode,
    readonly second: ClusterNode,
  ) {}

  static async start({ needsShortLeases }: Fault): Promise<World> {
    const [redis, replica] = await Promise.all([TestRedis.start(), TestRedis.start()]);
    const [copying, ...lines] = await Promise.all([
      TcpProxy.start(redis.port),
      TcpProxy.start(redis.port),
      TcpProxy.start(redis.port),
    ]);
    await replica.command('REPLICAOF', '127.0.0.1', String(copying.port));
    const options = { limits: { maxManagersPerUser: LIMIT }, resume: { windowMs: 600_000 } };
    const leaseMs = needsShortLeases ? SHORT_LEASE_MS : LONG_LEASE_MS;
    const [first, second] = await Promise.all(
      lines.map((line) => {
        return ClusterNode.start(
          `redis://127.0.0.1:${line.port}`,
          { ...TIMES, leaseMs },
          { options },
        );
      }),
    );
    return new World(redis, replica, copying, lines, first!, second!);
  }

  async stop(): Promise<void> {
    this.isSettled = true;
    await Promise.all([this.first.kill(), this.second.kill()]);
    await Promise.allSettled([...this.pending, ...this.background]);
    for (const line of [this.copying, ...this.lines]) await line[Symbol.asyncDispose]();
    await Promise.all([this.redis.stop(), this.replica.stop()]);
  }

  get living(): readonly ClusterNode[] {
    return [this.first, this.second].filter((node) => !node.hasEnded);
  }

  /** Connects, and retries while it is refused, like a browser. */
  async enter(node: ClusterNode, userId: string): Promise<TestClient> {
    let client: TestClient | number = 0;
    await eventually(async () => {
      client = await node.tryToConnect(userId);
      expect(client).toBeInstanceOf(TestClient);
    }, PATIENCE_MS);
    return client as unknown as TestClient;
  }

  async live(userId: string): Promise<number> {
    const counts = await Promise.all(this.living.map((node) => node.call('live', userId)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Waits until the nodes have this cluster state. */
  async become(state: 'up' | 'local', nodes: readonly ClusterNode[]): Promise<void> {
    await eventually(async () => {
      for (const node of nodes) expect((await node.call('status')).state).toBe(state);
    }, PATIENCE_MS);
  }

  /** Waits, by the clock of Redis, until all leases that are not renewed from now on have ended. */
  async leaseEnds(): Promise<void> {
    const from = await this.#time();
    await eventually(async () => {
      expect(await this.#time()).toBeGreaterThan(from + SHORT_LEASE_MS);
    }, PATIENCE_MS);
  }

  async #time(): Promise<number> {
    const [seconds, micros] = (await this.redis.command('TIME')) as [string, string];
    return Number(seconds) * 1000 + Number(micros) / 1000;
  }
}

/** A failure, and its end. */
export interface Fault {
  readonly name: string;
  /** The effect on the first node, if any. */
  readonly first?: 'frozen' | 'killed';
  /** Whether slots become free only because their leases are not renewed. */
  readonly needsShortLeases?: boolean;
  begin(world: World): Promise<void> | void;
  /** Waits until the nodes have noticed the fault. */
  felt(world: World): Promise<void>;
  end(world: World): Promise<void> | void;
}

const nothing = (): void => undefined;
const atOnce = (): Promise<void> => Promise.resolve();
const restart = async ({ redis }: World): Promise<void> => {
  await redis.kill();
  await redis.launch();
};

export const FAULTS: readonly Fault[] = [
  {
    name: 'Redis hangs',
    begin: ({ redis }) => redis.freeze(),
    felt: (world) => world.become('local', world.living),
    end: ({ redis }) => redis.thaw(),
  },
  {
    name: 'Redis is killed and comes back empty',
    begin: ({ redis }) => redis.kill(),
    felt: (world) => world.become('local', world.living),
    end: ({ redis }) => redis.launch(),
  },
  {
    name: 'Redis comes back from a snapshot',
    begin: ({ redis }) => redis.command('SAVE').then(nothing),
    felt: atOnce,
    end: restart,
  },
  {
    name: 'a lagging replica takes over',
    begin: ({ copying }) => copying.freeze(),
    felt: atOnce,
    end: async (world) => {
      const { replica, redis, lines } = world;
      await redis.kill();
      await replica.command('REPLICAOF', 'NO', 'ONE');
      for (const line of lines) {
        line.target = replica.port;
        line.cut();
      }
      world.redis = replica;
    },
  },
  {
    name: 'the Redis connections of both nodes are cut',
    begin: ({ lines }) => lines.forEach(cut),
    felt: (world) => world.become('local', world.living),
    end: ({ lines }) => lines.forEach(mend),
  },
  {
    name: 'the Redis connections of one node are cut',
    needsShortLeases: true,
    begin: ({ lines }) => cut(lines[0]),
    felt: (world) =>
      Promise.all([world.become('local', [world.first]), world.leaseEnds()]).then(nothing),
    end: ({ lines }) => mend(lines[0]),
  },
  {
    name: 'the Redis connections of one node go dead',
    begin: ({ lines }) => lines[0].freeze(),
    felt: (world) => world.become('local', [world.first]),
    end: nothing,
  },
  {
    name: 'one node gets no replies from Redis',
    begin: ({ lines }) => void (lines[0].isMute = true),
    felt: (world) => world.become('local', [world.first]),
    end: ({ lines }) => {
      lines[0].isMute = false;
      lines[0].cut();
    },
  },
  {
    name: 'one node is frozen',
    first: 'frozen',
    needsShortLeases: true,
    begin: ({ first }) => first.signal('SIGSTOP'),
    felt: (world) => world.leaseEnds(),
    end: ({ first }) => first.signal('SIGCONT'),
  },
  {
    name: 'one node is killed',
    first: 'killed',
    needsShortLeases: true,
    begin: ({ first }) => first.kill(),
    felt: (world) => world.leaseEnds(),
    end: nothing,
  },
];

function cut(line: TcpProxy): void {
  line.isClosed = true;
  line.cut();
}

function mend(line: TcpProxy): void {
  line.isClosed = false;
}
