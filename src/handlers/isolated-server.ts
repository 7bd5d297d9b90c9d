import type { WebSocketServer } from 'ws';

import type { VerifyRequest } from '../handshake/app-answer.js';
import type { ConnectionScope, ScopeBlueprint } from '../scope/connection-scope.js';
import type { PathPattern } from '../upgrade/path-pattern.js';
import type { GatewayDefinition, HandlerDefinition, HandlerPlan } from './gateway-definition.js';
import { PathContract } from './path-contract.js';

/** A handler, and the index of its gateway among the server's gateways. */
export interface HandlerRef {
  readonly gatewayIndex: number;
  readonly handler: HandlerDefinition;
}

/** One `ws` server with the isolated gateways that share its path. */
export class IsolatedServer {
  readonly #handlers = new Map<unknown, HandlerRef[]>();
  /** `undefined` for a path whose gateways have no contract: nothing is checked there. */
  readonly contract: PathContract | undefined;

  constructor(
    readonly webSocketServer: WebSocketServer,
    readonly path: string,
    readonly gateways: readonly GatewayDefinition[],
    readonly scopeBlueprint: ScopeBlueprint,
    /** The app's `verifyClient`, where its `ws` server has one. */
    readonly verify?: VerifyRequest,
    /** Of a path with parameters. */
    readonly pattern?: PathPattern,
  ) {
    this.contract = PathContract.of(gateways);
    for (const [gatewayIndex, { handlers }] of gateways.entries()) {
      for (const handler of handlers) this.#add({ gatewayIndex, handler });
    }
  }

  /** Returns the handlers of an event, at most one per gateway; `undefined` if no gateway handles it. */
  handlersOf(event: unknown): readonly HandlerRef[] | undefined {
    return this.#handlers.get(event);
  }

  #add(ref: HandlerRef): void {
    const refs = this.#handlers.get(ref.handler.event) ?? [];
    // If one gateway has two methods for an event, the last one counts, as in any Nest gateway.
    const others = refs.filter(({ gatewayIndex }) => gatewayIndex !== ref.gatewayIndex);
    this.#handlers.set(ref.handler.event, [...others, ref]);
  }
}

/** The plans of handlers whose enhancers have an instance per connection. Each plan is made when first needed. */
export class ScopedPlans {
  readonly #plans = new Map<HandlerDefinition, HandlerPlan>();

  constructor(private readonly scope: ConnectionScope) {}

  of(handler: HandlerDefinition): HandlerPlan {
    let plan = this.#plans.get(handler);
    if (!plan) this.#plans.set(handler, (plan = handler.planFor(this.scope)));
    return plan;
  }
}
