import type { Type } from '@nestjs/common';

import { ExecutionContextHost } from '../nest/nest-internals.js';

type HttpHost = ReturnType<ExecutionContextHost['switchToHttp']>;

/** There is no response to a message that could have headers. */
const NO_RESPONSE = Object.freeze({ header: nothing, setHeader: nothing });

/**
 * What guards, interceptors and decorators see. Guards that were made for HTTP, such as `ThrottlerGuard`, find the
 * client where they look for the request, with `ip` and `headers`, and a response whose headers nobody gets.
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
  // Nobody is told.
}
