import type { WebSocket } from 'ws';

import { ConnectionCode, type Waiter } from '../context/connection-code.js';
import type { GatewayInstance, HandlerPlan } from '../handlers/gateway-definition.js';
import type { HandlerArgs } from '../handlers/handler-parameters.js';
import type { SettlingCall } from '../handlers/handler-pipeline.js';
import type { HandlerOutcome } from '../journal/isolation-events.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { TracedStep } from '../monitoring/tracer.js';
import type { InboundMessage } from '../wire/message-parser.js';

/** What runs calls: the connection. */
export interface CallRunner extends Waiter {
  readonly manager: WebSocketManager;
  readonly client: WebSocket;
  /** Calls the handler and sends what it answers. */
  invoke(call: RunningCall): void;
  /** Guards and pipes have let a message through; false where that took too long. */
  mayStartNow(call: RunningCall): boolean;
  /** Gives the place of a handler back; once. */
  release(call: RunningCall, outcome: HandlerOutcome): void;
}

/** A handler that runs. */
export class RunningCall implements SettlingCall {
  readonly args: HandlerArgs;
  /** What its async context has. Small, and apart from the call: it may outlive the connection. */
  readonly code: ConnectionCode;
  isReleased = false;
  /** The connection began to close while its guards or pipes were asked. */
  isDropped = false;
  /** Only while spans are made. */
  traced: TracedStep | undefined = undefined;

  constructor(
    private readonly runner: CallRunner,
    readonly gateway: GatewayInstance,
    readonly plan: HandlerPlan,
    readonly message: InboundMessage,
    /** Monotonic milliseconds; only while a listener wants to know how long handlers take. */
    readonly startedAt: number | undefined,
  ) {
    this.args = [runner.client, message.data, message.event];
    this.code = new ConnectionCode(runner.manager.context, runner);
  }

  mayStart(): boolean {
    return this.runner.mayStartNow(this);
  }

  /** Calls the handler and sends what it answers. Shared by all calls: no closure for each. */
  static readonly run = (call: RunningCall): void => call.runner.invoke(call);

  static readonly settle = (call: RunningCall): void => call.settled();

  settled(): void {
    this.runner.release(this, 'ok');
  }
}
