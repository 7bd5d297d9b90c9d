import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { type Cluster, CLUSTER } from '../cluster/cluster.js';
import { TrafficCounters } from '../connection/traffic-counters.js';
import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import type { Unplug } from '../structures/plug.js';
import { LoadMeter } from './load-meter.js';

/** Tells the other nodes of a cluster the load of this one, so that each dashboard shows the nodes side by side. */
@Injectable()
export class NodeLoadReport implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #meter: LoadMeter;
  #stop: Unplug | undefined;

  constructor(
    @Inject(CLOCK) clock: Clock,
    @Inject(CLUSTER) private readonly cluster: Cluster | undefined,
    registry: ManagerRegistry,
    factory: WebSocketManagerFactory,
    runtime: GatewayRuntime,
    traffic: TrafficCounters,
  ) {
    const count = () => ({
      opened: factory.counters.connections,
      refused: sumOf(runtime.refusals.values()),
      messages: traffic.received,
      failed: traffic.failed,
    });
    this.#meter = new LoadMeter(clock, count, () => registry.userCount);
  }

  onApplicationBootstrap(): void {
    this.#stop = this.cluster?.membership?.useLoad(() => this.#meter.read());
  }

  onModuleDestroy(): void {
    this.#stop?.();
  }
}

function sumOf(counts: Iterable<number>): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}
