import { HttpException, HttpStatus, Inject, Injectable, Logger } from '@nestjs/common';

import { SecondWindow } from '../structures/second-window.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { CloseCode } from '../wire/close-codes.js';
import type { ClusterTarget } from '../cluster/cluster-delivery.js';
import { Journal } from '../journal/journal.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { Drain } from '../shutdown/drain.js';
import { Topics } from '../topics/topics.service.js';
import { type ActionName, type ActionRequest, parseAction } from './action-request.js';

/** The name and the address of the viewer who acts, for the audit line. */
export interface Operator {
  readonly who: string;
  readonly from: string;
}

/** How many connections of this process an action affected. */
export interface ActionResult {
  readonly count: number;
}

type Act = (request: ActionRequest, operator: Operator) => ActionResult | Promise<ActionResult>;

/** Actions per second; more than an operator takes by hand. */
const PER_SECOND = 5;
const REASON = 'disconnected by an operator';

/** The actions of operators. Every action writes a line to the log. */
@Injectable()
export class OperatorActions {
  readonly #logger = new Logger('WebSocketIsolation');
  readonly #actions: Readonly<Record<ActionName, Act>> = {
    'disconnect-connection': (request, operator) => this.#disconnectConnection(request, operator),
    'disconnect-user': (request, operator) => this.#disconnectUser(request, operator),
    'remove-connection-from-topic': (request, operator) => {
      const manager = this.factory.getManager(request.target);
      return this.#removeFromTopic(request, operator, manager ? [manager] : []);
    },
    'remove-user-from-topic': (request, operator) =>
      this.#removeFromTopic(request, operator, this.factory.managersOf(request.target)),
    cleanup: (_request, operator) => this.#cleanup(operator),
    drain: (_request, operator) => this.#drain(operator),
  };
  #window = new SecondWindow(PER_SECOND, Number.NEGATIVE_INFINITY);

  constructor(
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly factory: WebSocketManagerFactory,
    private readonly drain: Drain,
    private readonly topics: Topics,
    private readonly journal: Journal,
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

  #disconnectConnection({ target, mayReconnect }: ActionRequest, operator: Operator): ActionResult {
    const manager = this.factory.getManager(target);
    const count = manager ? 1 : 0;
    this.#audit(operator, 'disconnect-connection', count, { target });
    this.#disconnect({ connectionId: target }, mayReconnect);
    return { count };
  }

  #disconnectUser({ target, mayReconnect }: ActionRequest, operator: Operator): ActionResult {
    const { length: count } = this.factory.managersOf(target);
    this.#audit(operator, 'disconnect-user', count, { target });
    this.#disconnect({ userId: target }, mayReconnect);
    return { count };
  }

  // Not awaited: disposers may take long, and the page shows how the connections close. Nodes that do not confirm are
  // reported by an event.
  #disconnect(target: ClusterTarget, mayReconnect: boolean): void {
    void this.factory.disconnect(target, { code: codeOf(mayReconnect), reason: REASON });
  }

  #removeFromTopic(
    { action, target, topic }: ActionRequest,
    operator: Operator,
    managers: readonly WebSocketManager[],
  ): ActionResult {
    const removed = managers.filter((manager) => this.topics.remove(manager, topic, 'removed'));
    const { length: count } = removed;
    this.#audit(operator, action, count, { target, topic });
    return { count };
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
