import {
  BadRequestException,
  HttpException,
  HttpStatus,
  Inject,
  Injectable,
  Logger,
} from '@nestjs/common';

import { SecondWindow } from '../structures/second-window.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { CloseCode } from '../wire/close-codes.js';
import type { ClusterTarget } from '../cluster/cluster-delivery.js';
import { MAX_IDENTIFIER_LENGTH } from '../context/identifier.js';
import { Journal } from '../journal/journal.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { Drain } from '../shutdown/drain.js';

/** The name and the address of the viewer who acts, for the audit line. */
export interface Operator {
  readonly who: string;
  readonly from: string;
}

/** How many connections of this process an action affected. */
export interface ActionResult {
  readonly count: number;
}

type ActionName = 'disconnect-connection' | 'disconnect-user' | 'cleanup' | 'drain';

interface ActionRequest {
  readonly action: ActionName;
  /** The connection's or the user's id. */
  readonly target: string;
  /** Whether the clients may reconnect at once (1001) or have to sign in again (4401). */
  readonly mayReconnect: boolean;
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
    cleanup: (_request, operator) => this.#cleanup(operator),
    drain: (_request, operator) => this.#drain(operator),
  };
  #window = new SecondWindow(PER_SECOND, Number.NEGATIVE_INFINITY);

  constructor(
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly factory: WebSocketManagerFactory,
    private readonly drain: Drain,
    private readonly journal: Journal,
  ) {}

  /**
   * @param body what the page sent
   * @throws {BadRequestException} if the body is not a valid action; 429 for more than 5 actions in a second
   */
  async run(body: unknown, operator: Operator): Promise<ActionResult> {
    const request = this.#parse(body);
    this.#admit();
    return this.#actions[request.action](request, operator);
  }

  #disconnectConnection({ target, mayReconnect }: ActionRequest, operator: Operator): ActionResult {
    const manager = this.factory.getManager(target);
    const count = manager ? 1 : 0;
    this.#audit(operator, 'disconnect-connection', count, target);
    this.#disconnect({ connectionId: target }, mayReconnect);
    return { count };
  }

  #disconnectUser({ target, mayReconnect }: ActionRequest, operator: Operator): ActionResult {
    const { length: count } = this.factory.managersOf(target);
    this.#audit(operator, 'disconnect-user', count, target);
    this.#disconnect({ userId: target }, mayReconnect);
    return { count };
  }

  // Not awaited: disposers may take long, and the page shows how the connections close. Nodes that do not confirm are
  // reported by an event.
  #disconnect(target: ClusterTarget, mayReconnect: boolean): void {
    void this.factory.disconnect(target, { code: codeOf(mayReconnect), reason: REASON });
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

  #audit(operator: Operator, action: string, count: number, target?: string): void {
    const details = { ...operator, action, ...(target !== undefined && { target }), count };
    this.journal.record('operator-action', details);
  }

  #parse(body: unknown): ActionRequest {
    const { action, target = '', mayReconnect = false } = (body ?? {}) as Record<string, unknown>;
    if (typeof action !== 'string' || !Object.hasOwn(this.#actions, action)) {
      const known = Object.keys(this.#actions).join(', ');
      throw new BadRequestException(`Expected \`action\` to be one of ${known}.`);
    }
    if (typeof mayReconnect !== 'boolean') {
      throw new BadRequestException('Expected `mayReconnect` to be true or false.');
    }
    const needsTarget = action.startsWith('disconnect-');
    if (!isTarget(target) || (needsTarget && target === '')) {
      throw new BadRequestException('Expected `target` to be the id of a connection or a user.');
    }
    return { action: action as ActionName, target, mayReconnect };
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

function isTarget(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_IDENTIFIER_LENGTH && value.isWellFormed();
}

function codeOf(mayReconnect: boolean): number {
  return mayReconnect ? CloseCode.GOING_AWAY : CloseCode.UNAUTHORIZED;
}
