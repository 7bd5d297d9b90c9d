import type { WebSocket } from 'ws';

import { ConnectionCode, type Waiter } from '../context/connection-code.js';
import type { GatewayInstance, HandlerPlan } from '../handlers/gateway-definition.js';
import type { HandlerArgs } from '../handlers/handler-parameters.js';
import type { SettlingCall } from '../handlers/handler-pipeline.js';
import type { HandlerOutcome } from '../journal/isolation-events.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Reply } from './reply.js';
import type { TracedStep } from '../monitoring/tracer.js';
import type { InboundMessage } from '../wire/message-parser.js';

/** Runs calls. Implemented by the connection. */
export interface CallRunner extends Waiter {
  readonly manager: WebSocketManager;
  readonly client: WebSocket;
  /** Calls the handler and sends its result. */
  invoke(call: RunningCall): void;
  /** Whether a message that guards and pipes let through may start. False if the connection is closing. */
  mayStartNow(call: RunningCall): boolean;
  /** Frees the place of a handler. A second call does nothing. */
  release(call: RunningCall, outcome: HandlerOutcome): void;
}

/** One call of a handler. */
export class RunningCall implements SettlingCall {
  readonly args: HandlerArgs;
  /** The value of its async context. A small object, separate from the call, because it may outlive the connection. */
  readonly code: ConnectionCode;
  isReleased = false;
  /** Whether the call has sent everything that it will send. */
  isOver = false;
  /** Whether the connection began to close while guards or pipes of the call were running. */
  isDropped = false;
  /** Whether the method returned a stream. Known only where there are interceptors. */
  isStream = false;
  /** Ends the stream that the method has returned, where it is pulled. */
  stop: (() => Promise<void> | undefined) | undefined = undefined;
  /** Set only while a tracer is in use. */
  traced: TracedStep | undefined = undefined;

  constructor(
    private readonly runner: CallRunner,
    readonly gateway: GatewayInstance,
    readonly plan: HandlerPlan,
    readonly message: InboundMessage,
    /** Monotonic milliseconds. Set only while `message-handled` has a listener. */
    readonly startedAt: number | undefined,
    /** `undefined` where the message has no `id`. */
    readonly reply: Reply | undefined,
  ) {
    this.args = [runner.client, message.data, message.event];
    this.code = new ConnectionCode(runner.manager.context, runner);
  }

  /** The client has cancelled the message. What the handler returns is still sent. */
  cancel(): void {
    this.code.cancel(new Error('the client has cancelled the message'));
    void this.stop?.();
  }

  mayStart(): boolean {
    return this.runner.mayStartNow(this);
  }

  /** Calls the handler and sends its result. Shared by all calls, so that no call needs a closure. */
  static readonly run = (call: RunningCall): void => call.runner.invoke(call);

  static readonly settle = (call: RunningCall): void => call.settled();

  settled(): void {
    this.runner.release(this, 'ok');
  }
}
