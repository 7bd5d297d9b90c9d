import { freePort } from '../../lab/free-port.js';
import { Remote } from '../../lab/remote.js';
import type { NodeOptions, StormEvent } from './candidates.js';
import type { NodeMethods } from './node.process.js';
import type { TurnDelay } from './turn-delays.js';

const NODES = 3;

/** Processor time and memory of the nodes that ran. */
export interface Usage {
  readonly cpuMs: number;
  readonly mostMb: number;
}

class Node {
  readonly #process = new Remote<NodeMethods>(new URL('./node.process.js', import.meta.url));
  pid = 0;
  #cpuBefore = 0;

  static async start(options: NodeOptions): Promise<Node> {
    const node = new Node();
    await node.#process.call('start', options);
    node.pid = await node.#process.call('pid');
    await node.begin();
    return node;
  }

  /** From now on, processor time counts. */
  async begin(): Promise<void> {
    this.#cpuBefore = (await this.#process.call('usage')).cpuMs;
  }

  async usage(): Promise<Usage> {
    const { cpuMs, mostMb } = await this.#process.call('usage');
    return { cpuMs: cpuMs - this.#cpuBefore, mostMb };
  }

  delays(): Promise<TurnDelay> {
    return this.#process.call('delays');
  }

  end(signal: NodeJS.Signals): Promise<void> {
    return this.#process.end(signal);
  }
}

/** Three nodes on fixed ports: one that is started again has the port that it had. */
export class Fleet implements AsyncDisposable {
  readonly #running = new Map<number, Node>();

  private constructor(
    readonly ports: readonly number[],
    private readonly options: Omit<NodeOptions, 'port'>,
  ) {}

  static async start(options: Omit<NodeOptions, 'port'>): Promise<Fleet> {
    const ports: number[] = [];
    while (ports.length < NODES) ports.push(await freePort());
    const fleet = new Fleet(ports, options);
    await Promise.all(ports.map((port) => fleet.#start(port)));
    return fleet;
  }

  /** The process of the node that the event befalls; all of them for `all`. */
  victims(event: StormEvent): number[] {
    const pids = [...this.#running.values()].map(({ pid }) => pid);
    return event === 'all' ? pids : pids.slice(0, 1);
  }

  /** Resolves when the event is over; the storm begins with the call. */
  async suffer(event: StormEvent): Promise<void> {
    const ports = event === 'all' ? this.ports : this.ports.slice(0, 1);
    const signal = event === 'drain' || event === 'restart' ? 'SIGTERM' : 'SIGKILL';
    await Promise.all(
      ports.map(async (port) => {
        const node = this.#running.get(port)!;
        await node.end(signal);
        this.#running.delete(port);
        if (event === 'restart' || event === 'all') await this.#start(port);
      }),
    );
  }

  /** From now on, processor time counts. */
  async begin(): Promise<void> {
    await Promise.all([...this.#running.values()].map((node) => node.begin()));
  }

  /** What the nodes that run have used. */
  async usage(): Promise<Usage> {
    const each = await Promise.all([...this.#running.values()].map((node) => node.usage()));
    return {
      cpuMs: each.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
      mostMb: Math.max(...each.map(({ mostMb }) => mostMb)),
    };
  }

  /** How long messages have waited in the nodes that run since the last call: the longest of them. */
  async delays(): Promise<TurnDelay> {
    const each = await Promise.all([...this.#running.values()].map((node) => node.delays()));
    return {
      p99: Math.max(...each.map(({ p99 }) => p99)),
      ownP99: Math.max(...each.map(({ ownP99 }) => ownP99)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((node) => node.end('SIGKILL')));
    this.#running.clear();
  }

  async #start(port: number): Promise<void> {
    this.#running.set(port, await Node.start({ ...this.options, port }));
  }
}
