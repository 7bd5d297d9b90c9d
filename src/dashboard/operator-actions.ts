import { HttpException, HttpStatus, Inject, Injectable, Logger } from '@nestjs/common';

import { SecondWindow } from '../structures/second-window.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import { CloseCode } from '../wire/close-codes.js';
import { type Cluster, CLUSTER } from '../cluster/cluster.js';
import type { ClusterTarget } from '../cluster/cluster-delivery.js';
import { Journal } from '../journal/journal.js';
import type { DisconnectReport } from '../manager/cluster-connections.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { Drain } from '../shutdown/drain.js';
import { type ActionName, type ActionRequest, parseAction } from './action-request.js';

/** The name and the address of the viewer who acts, for the audit line. */
export interface Operator {
  readonly who: string;
  readonly from: string;
}

/** What an action did. */
export interface ActionResult {
  /** How many connections it affected: here, and of a target also on the nodes that have confirmed. */
  readonly count: number;
  /** The names of the nodes that have not answered. */
  readonly silent?: readonly string[];
  /** Whether Redis has recorded the action for them; otherwise this process tells them when it reaches Redis again. */
  readonly isRecorded?: boolean;
  /** Connections are still ending, so only those of this process are counted. */
  readonly isEnding?: boolean;
}

type Act = (request: ActionRequest, operator: Operator) => ActionResult | Promise<ActionResult>;

/** Actions per second; more than an operator takes by hand. */
const PER_SECOND = 5;
const REASON = 'disconnected by an operator';
/** Milliseconds after which the page gets a result, although connections are still ending. */
const REPORT_MS = 3_000;

/** The actions of operators. Every action writes a line to the log. */
@Injectable()
export class OperatorActions {
  readonly #logger = new Logger('WebSocketIsolation');
  readonly #actions: Readonly<Record<ActionName, Act>> = {
    'disconnect-connection': (request, operator) => this.#disconnectConnection(request, operator),
    'disconnect-user': (request, operator) => this.#disconnectUser(request, operator),
    'remove-connection-from-topic': (request, operator) =>
      this.#removeFromTopic({ connectionId: request.target }, request, operator),
    'remove-user-from-topic': (request, operator) =>
      this.#removeFromTopic({ userId: request.target }, request, operator),
    cleanup: (_request, operator) => this.#cleanup(operator),
    drain: (_request, operator) => this.#drain(operator),
  };
  #window = new SecondWindow(PER_SECOND, Number.NEGATIVE_INFINITY);

  constructor(
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly factory: WebSocketManagerFactory,
    private readonly drain: Drain,
    private readonly journal: Journal,
    @Inject(CLUSTER) private readonly cluster: Cluster | undefined,
  ) {}

  /**
   * @param body what the page sent
   * @throws {BadRequestException} if the body is not a valid action; 429 for more than 5 actions in a second
   */
  async run(body: unknown, operator: Operator): Promise<ActionResult> {
    const request = parseAction(body);
    this.#admit();
    return this.#actions[request.action](request, operator);
  }

  #disconnectConnection(request: ActionRequest, operator: Operator): Promise<ActionResult> {
    const { target: connectionId } = request;
    const here = this.factory.getManager(connectionId) ? 1 : 0;
    return this.#disconnect({ connectionId }, here, request, operator);
  }

  #disconnectUser(request: ActionRequest, operator: Operator): Promise<ActionResult> {
    const { target: userId } = request;
    const here = this.factory.managersOf(userId).length;
    return this.#disconnect({ userId }, here, request, operator);
  }

  // Disposers and clients may take long, so the page gets a result before every connection has ended.
  async #disconnect(
    target: ClusterTarget,
    here: number,
    { action, target: named, mayReconnect }: ActionRequest,
    operator: Operator,
  ): Promise<ActionResult> {
    const goodbye = { code: codeOf(mayReconnect), reason: REASON };
    const ending = this.factory.disconnect(target, goodbye);
    const report = await withDeadline(this.clock, REPORT_MS, ending);
    const result =
      report === TIMED_OUT
        ? { count: here, isEnding: true }
        : { count: report.disconnected, ...this.#silent(report) };
    this.#audit(operator, action, result.count, { target: named });
    return result;
  }

  #silent({
    unconfirmed,
    isRecorded,
  }: Omit<DisconnectReport, 'disconnected'>): Pick<ActionResult, 'silent' | 'isRecorded'> {
    if (unconfirmed.length === 0) return isRecorded ? {} : { isRecorded };
    const names = new Map(this.cluster?.status().nodes.map(({ nodeId, name }) => [nodeId, name]));
    return { silent: unconfirmed.map((nodeId) => names.get(nodeId) ?? nodeId), isRecorded };
  }

  // Nothing has to end first, so only nodes that do not respond are waited for, within the deadline of the cluster.
  async #removeFromTopic(
    target: ClusterTarget,
    { action, target: named, topic }: ActionRequest,
    operator: Operator,
  ): Promise<ActionResult> {
    const report = await this.factory.clusterConnections.removeFromTopic(target, topic);
    this.#audit(operator, action, report.removed, { target: named, topic });
    return { count: report.removed, ...this.#silent(report) };
  }

  async #cleanup(operator: Operator): Promise<ActionResult> {
    const count = await this.factory.cleanupExpired();
    this.#audit(operator, 'cleanup', count);
    return { count };
  }

  #drain(operator: Operator): ActionResult {
    const { managersActive: count } = this.factory.getStats().factoryMetrics;
    this.#audit(operator, 'drain', count);
    this.drain.start().catch((error: unknown) => this.#logger.error('The drain failed.', error));
    return { count };
  }

  #audit(
    operator: Operator,
    action: string,
    count: number,
    on: { target?: string; topic?: string } = {},
  ): void {
    this.journal.record('operator-action', { ...operator, action, ...on, count });
  }

  #admit(): void {
    const now = this.clock.now();
    if (this.#window.isOver(now)) this.#window = new SecondWindow(PER_SECOND, now);
    if (!this.#window.admit()) {
      throw new HttpException(
        'Too many actions in one second. Try again.',
        HttpStatus.TOO_MANY_REQUESTS,
      );
    }
  }
}

function codeOf(mayReconnect: boolean): number {
  return mayReconnect ? CloseCode.GOING_AWAY : CloseCode.UNAUTHORIZED;
}
