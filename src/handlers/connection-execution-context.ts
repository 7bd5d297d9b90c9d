import type { Type } from '@nestjs/common';

import { ExecutionContextHost } from '../nest/nest-internals.js';

type HttpHost = ReturnType<ExecutionContextHost['switchToHttp']>;

/** What HTTP guards get as the response. A message has no HTTP response, so its headers are discarded. */
const NO_RESPONSE = Object.freeze({ header: nothing, setHeader: nothing });

/**
 * The execution context that guards, interceptors and parameter decorators get. Guards made for HTTP, such as
 * `ThrottlerGuard`, work as well: `getRequest()` returns the client, which has `ip` and `headers`, and `getResponse()`
 * returns a response that discards its headers.
 */
export class ConnectionExecutionContext extends ExecutionContextHost {
  constructor(args: unknown[], gateway: Type, callback: (...args: unknown[]) => unknown) {
    super(args as never, gateway as never, callback);
    this.setType('ws');
  }

  override switchToHttp(): HttpHost {
    const host: object = super.switchToHttp();
    return Object.assign(host, { getResponse: () => NO_RESPONSE }) as HttpHost;
  }
}

function nothing(): void {
  // The header is discarded.
}
