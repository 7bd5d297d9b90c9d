import { expect } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ClusterNode } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';

export const LIMIT = 3;
export const PATIENCE_MS = 60_000;
const TIMES = { renewMs: 400, acquireTimeoutMs: 500, commandTimeoutMs: 700 };
const SHORT_LEASE_MS = 2_000;
/** Nothing comes right because a lease ends by itself. */
const LONG_LEASE_MS = 600_000;

/** Two nodes, each with a line of its own to Redis, and a replica that may take over. */
export class World {
  /** Things that go on while the fault does, and come to their end when it does. */
  readonly pending: Promise<unknown>[] = [];
  /** Things that nobody waits for before the end of the world. */
  readonly background: Promise<unknown>[] = [];
  /** The fault is over, and everything was found to be right. */
  isSettled = false;

  private constructor(
    public redis: TestRedis,
    readonly replica: TestRedis,
    /** Between Redis and its replica. */
    readonly copying: TcpProxy,
    readonly lines: readonly [TcpProxy, TcpProxy],
    /** Where the fault strikes, if it strikes one. */
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

  /** Tries again while it is refused, as browsers do. */
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

  /** Waits until nodes say that Redis is away, or there again. */
  async become(state: 'up' | 'local', nodes: readonly ClusterNode[]): Promise<void> {
    await eventually(async () => {
      for (const node of nodes) expect((await node.call('status')).state).toBe(state);
    }, PATIENCE_MS);
  }

  /** Waits until what nobody renews since now has ended, by the clock of Redis. */
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

/** Something that fails and comes back. */
export interface Fault {
  readonly name: string;
  /** What becomes of the first node, if anything. */
  readonly first?: 'frozen' | 'killed';
  /** Whether slots come free only because nobody renews them. */
  readonly needsShortLeases?: boolean;
  begin(world: World): Promise<void> | void;
  /** Waits until it is felt. */
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
    name: 'a replica that lagged takes over',
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
    name: 'the lines of both nodes are cut',
    begin: ({ lines }) => lines.forEach(cut),
    felt: (world) => world.become('local', world.living),
    end: ({ lines }) => lines.forEach(mend),
  },
  {
    name: 'the lines of one node are cut',
    needsShortLeases: true,
    begin: ({ lines }) => cut(lines[0]),
    felt: (world) =>
      Promise.all([world.become('local', [world.first]), world.leaseEnds()]).then(nothing),
    end: ({ lines }) => mend(lines[0]),
  },
  {
    name: 'the lines of one node carry nothing any more',
    begin: ({ lines }) => lines[0].freeze(),
    felt: (world) => world.become('local', [world.first]),
    end: nothing,
  },
  {
    name: 'one node hears no answers',
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
