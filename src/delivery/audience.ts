import type { Clock } from '../time/clock.js';
import type { ClusterDelivery, ClusterTarget } from '../cluster/cluster-delivery.js';
import type { ClusterAnswers } from '../history/cluster-answers.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import { assertEvent, encodeFrame } from '../wire/frame-encoding.js';
import { emptyReport } from '../wire/delivery-result.js';
import { ALONE } from '../manager/cluster-connections.js';
import { fanOut } from '../manager/fan-out.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';

/** What became of a message on every node that has connections for it. The numbers are the sums. */
export interface ClusterDeliveryReport extends DeliveryReport {
  /** By node; the name of a process without a cluster is `local`. */
  readonly nodes: Readonly<Record<string, DeliveryReport>>;
  /**
   * Nodes that hold the user and did not say in time what became of the message; all others that are known, where the
   * message did not get out.
   */
  readonly silent: readonly string[];
}

/** Whoever is there when the message is sent, on this node and on every other. */
export interface Audience {
  /**
   * Sends `{"event", "data"}` to everyone; serialised once. Looks connections up, never makes any, and
   * never throws: nobody there is a report of zeros. The report is about this process's connections;
   * those of other nodes get the message too, and {@link sendAsync} tells about them.
   */
  send(event: string, data?: unknown): DeliveryReport;
  /** As `send`; resolves to the numbers of all nodes, within two seconds. Never rejects. */
  sendAsync(event: string, data?: unknown): Promise<ClusterDeliveryReport>;
}

/** Whoever has a thread open, and with `resume` on, whoever comes back to it. */
export interface ThreadAudience extends Audience {
  /**
   * As `send`, for what must not get lost: with `resume` on it is kept even while nobody is there, within
   * the bounds; without, it goes to each connection of this process with `emitCritical`.
   *
   * @throws {SendFailedError} when the data is not JSON
   */
  sendCritical(event: string, data?: unknown): DeliveryReport;
}

/** The connections here, and the way to the others. */
export class Reach implements Audience {
  constructor(
    private readonly here: () => readonly WebSocketManager[],
    private readonly target: ClusterTarget,
    private readonly clock: Clock,
    private readonly cluster: { readonly delivery: ClusterDelivery; nodeId: string } | undefined,
  ) {}

  send(event: string, data?: unknown): DeliveryReport {
    assertEvent(event);
    const managers = this.here();
    const elsewhere = this.#elsewhere(managers);
    if (!elsewhere && managers.length === 0) return emptyReport();
    const frame = encodeFrame(event, data);
    if (frame !== undefined) elsewhere?.send(this.target, frame);
    return deliver(managers, frame, this.clock);
  }

  async sendAsync(event: string, data?: unknown): Promise<ClusterDeliveryReport> {
    const managers = this.here();
    const frame = encodeFrame(event, data);
    const here = deliver(managers, frame, this.clock);
    const elsewhere = this.#elsewhere(managers);
    const others =
      elsewhere && frame !== undefined
        ? await elsewhere.sendAndReport(this.target, frame)
        : undefined;
    return clusterReport(this.cluster?.nodeId ?? ALONE, here, others);
  }

  // Who is looked for by the connection's id, and found here, is nowhere else.
  #elsewhere({ length }: readonly WebSocketManager[]): ClusterDelivery | undefined {
    return 'connectionId' in this.target && length > 0 ? undefined : this.cluster?.delivery;
  }
}

/** Sends a frame; `undefined` is data that is not JSON. */
export function deliver(
  managers: readonly WebSocketManager[],
  frame: string | undefined,
  clock: Clock,
): DeliveryReport {
  if (frame === undefined) return { ...emptyReport(), dropped: managers.length };
  const reached: WebSocketManager[] = [];
  const report = fanOut(managers, frame, (manager, made) => {
    const result = manager.writeFrame(made);
    if (typeof result === 'string') reached.push(manager);
    return result;
  });
  // Afterwards, all in one go: after each system call, what belongs to the next connection would have to
  // be fetched from memory first.
  const now = clock.now();
  for (const manager of reached) manager.noteSent(now);
  return report;
}

/** The sums over all nodes. */
export function clusterReport(
  nodeId: string,
  here: DeliveryReport | undefined,
  others: ClusterAnswers<DeliveryReport> | undefined,
): ClusterDeliveryReport {
  const total = emptyReport();
  const nodes: Record<string, DeliveryReport> = {};
  for (const [node, counts] of others?.answers ?? []) nodes[node] = counts;
  if (here) nodes[nodeId] = here;
  for (const { sent, queued, dropped } of Object.values(nodes)) {
    total.sent += sent;
    total.queued += queued;
    total.dropped += dropped;
  }
  return { ...total, nodes, silent: others?.silent ?? [] };
}
