import * as published from '@nestjs/websockets';

/**
 * The property of a socket from which Nest's `@WsParam()` reads the parameters of a path. No released version has it
 * so far: https://github.com/nestjs/nest/pull/15488.
 */
const { WS_PATH_PARAMS } = published as { readonly WS_PATH_PARAMS?: unknown };

/** Lets the parameter decorators of Nest find the parameters of the path of a connection, if Nest has such decorators. */
export function bindPathParams(client: object, params: Readonly<Record<string, string>>): void {
  if (typeof WS_PATH_PARAMS !== 'symbol') return;
  Object.defineProperty(client, WS_PATH_PARAMS, { configurable: true, value: params });
}
