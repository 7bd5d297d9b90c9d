import type { WebSocketServer } from 'ws';

import type { VerifyRequest } from '../handshake/app-answer.js';
import type { ConnectionScope, ScopeBlueprint } from '../scope/connection-scope.js';
import type { GatewayDefinition, HandlerDefinition, HandlerPlan } from './gateway-definition.js';

/** A handler, and which of the server's gateways it belongs to. */
export interface HandlerRef {
  readonly gatewayIndex: number;
  readonly handler: HandlerDefinition;
}

/** One `ws` server with the isolated gateways that share its path. */
export class IsolatedServer {
  readonly #handlers = new Map<unknown, HandlerRef[]>();

  constructor(
    readonly webSocketServer: WebSocketServer,
    readonly path: string,
    readonly gateways: readonly GatewayDefinition[],
    readonly scopeBlueprint: ScopeBlueprint,
    /** The app's `verifyClient`, where its `ws` server has one. */
    readonly verify?: VerifyRequest,
  ) {
    for (const [gatewayIndex, { handlers }] of gateways.entries()) {
      for (const handler of handlers) this.#add({ gatewayIndex, handler });
    }
  }

  /** Who answers to an event: of every gateway on this path at most a few. */
  handlersOf(event: unknown): readonly HandlerRef[] | undefined {
    return this.#handlers.get(event);
  }

  #add(ref: HandlerRef): void {
    const refs = this.#handlers.get(ref.handler.event) ?? [];
    // Two methods of one gateway for one event: the last one counts, as in any gateway.
    const others = refs.filter(({ gatewayIndex }) => gatewayIndex !== ref.gatewayIndex);
    this.#handlers.set(ref.handler.event, [...others, ref]);
  }
}

/** The plans of handlers whose enhancers have an instance per connection, made when first needed. */
export class ScopedPlans {
  readonly #plans = new Map<HandlerDefinition, HandlerPlan>();

  constructor(private readonly scope: ConnectionScope) {}

  of(handler: HandlerDefinition): HandlerPlan {
    let plan = this.#plans.get(handler);
    if (!plan) this.#plans.set(handler, (plan = handler.planFor(this.scope)));
    return plan;
  }
}
