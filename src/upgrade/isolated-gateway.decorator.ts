import { Logger } from '@nestjs/common';
import { type GatewayMetadata, WebSocketGateway } from '@nestjs/websockets';

import type { AnyContract } from '../contract/contract.js';
import { IsolationError } from '../errors/isolation-error.js';
import {
  ENTRY_PROVIDER_WATERMARK,
  GATEWAY_METADATA,
  GATEWAY_SERVER_METADATA,
} from '../nest/nest-internals.js';
import { announceGateway, ANNOUNCING_PROPERTY } from './gateway-announcement.js';
import { setContract } from './gateway-contract.js';

const ISOLATED = Symbol('websocket-isolation:isolated-gateway');

// Weak, so that classes that are made inside a function can be garbage-collected.
const declared = new Set<WeakRef<object>>();

// Classes that some application of this process has bound to a server.
const bound = new WeakSet<object>();

/** Returns every decorated class of this process that no application has bound to a server so far. */
export function unboundGateways(): object[] {
  return [...declared].flatMap((reference) => {
    const type = reference.deref();
    if (!type || bound.has(type)) declared.delete(reference);
    return type && !bound.has(type) ? type : [];
  });
}

/** The options of `@WebSocketGateway`, and a contract. Further options go to the `ws` server of the gateway's path. */
export type IsolatedGatewayOptions = GatewayMetadata & {
  /** What goes over the connections: the payloads of clients are checked against it. Default: nothing is checked. */
  readonly contract?: AnyContract | undefined;
} & Readonly<Record<string, unknown>>;

/**
 * Class decorator of a gateway whose connections are isolated: each has its own context, manager and scope. Takes the
 * same arguments as `@WebSocketGateway`.
 *
 * @example
 * ```ts
 * @IsolatedGateway({ path: '/chat' })
 * export class ChatGateway {
 *   constructor(private readonly context: UserExecutionContext) {}
 *   @SubscribeMessage('whoami') whoami() { return { event: 'you', data: this.context.userId }; }
 * }
 * ```
 */
export function IsolatedGateway(
  port?: number,
  options?: GatewayMetadata | IsolatedGatewayOptions,
): ClassDecorator;
export function IsolatedGateway(options?: GatewayMetadata | IsolatedGatewayOptions): ClassDecorator;
export function IsolatedGateway(
  portOrOptions: number | GatewayMetadata | IsolatedGatewayOptions = 0,
  options: GatewayMetadata | IsolatedGatewayOptions = {},
): ClassDecorator {
  return (target) => {
    const isPort = typeof portOrOptions === 'number';
    const { contract, ...given } = (isPort ? options : portOrOptions) as IsolatedGatewayOptions;
    const gateway = isPort ? WebSocketGateway(portOrOptions, given) : WebSocketGateway(given);
    gateway(target);
    setContract(target, contract);
    Reflect.defineMetadata(ISOLATED, true, target);
    // An entry point of the application, as controllers are: REQUEST-scoped APP_* enhancers apply to it.
    Reflect.defineMetadata(ENTRY_PROVIDER_WATERMARK, true, target);
    announceWhenBound(target.prototype as object);
    declared.add(new WeakRef(target));
  };
}

/**
 * Whether a class is an isolated gateway. A class without a decorator of its own inherits the kind of its parent. A
 * class with a plain `@WebSocketGateway` is a plain gateway.
 */
export function isIsolatedGateway(type: unknown): boolean {
  for (
    let current = type;
    typeof current === 'function';
    current = Object.getPrototypeOf(current)
  ) {
    if (Reflect.hasOwnMetadata(GATEWAY_METADATA, current)) {
      return Reflect.hasOwnMetadata(ISOLATED, current);
    }
  }
  return false;
}

function announceWhenBound(prototype: object): void {
  Reflect.defineMetadata(GATEWAY_SERVER_METADATA, true, prototype, ANNOUNCING_PROPERTY);
  Object.defineProperty(prototype, ANNOUNCING_PROPERTY, {
    configurable: true,
    // Nest finds such properties by enumeration.
    enumerable: true,
    get: () => undefined,
    set(this: object, server: unknown): void {
      if (!isIsolatedGateway(this.constructor)) return;
      markBound(this.constructor);
      announceGateway(this, server, () => refuseToStart(this));
    },
  });
}

// Marks the parents too: a class that is only extended is in use through its subclasses.
function markBound(type: object): void {
  for (
    let current: unknown = type;
    typeof current === 'function';
    current = Object.getPrototypeOf(current)
  ) {
    bound.add(current);
  }
}

// The adapter that binds this gateway does not isolate it: every client could connect, without authentication. Nest
// calls `onModuleInit` next, so its error makes the start of the application fail. Nest calls no hooks of gateways with
// an instance per connection: for these, the error is only logged.
function refuseToStart(gateway: object): void {
  const error = moduleMissing(gateway.constructor.name);
  new Logger('WebSocketIsolation').error(error.message);
  const onModuleInit = (): never => {
    throw error;
  };
  Object.defineProperty(gateway, 'onModuleInit', { configurable: true, value: onModuleInit });
}

/** Returns the error for an isolated gateway that is bound in an application without the module. */
export function moduleMissing(gateway: string): IsolationError {
  return new IsolationError(
    'MODULE_NOT_IMPORTED',
    `${gateway} has @IsolatedGateway(), but the application does not import WebSocketIsolationModule with options, ` +
      'so that nothing isolates its connections. ' +
      'Write imports: [WebSocketIsolationModule.forRoot()] in the root module.',
  );
}
