// Applications with Nest's own throttler, in a separate process: Jest on Node 20 cannot load the throttler, because it
// is a CommonJS package that requires Nest, which is ESM.
import { type LoggerService, UseGuards } from '@nestjs/common';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, UserExecutionContext } from 'nestjs-websocket-isolation';

import { serve } from '../support/node-process.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/message' })
class MessageGateway {
  @UseGuards(ThrottlerGuard)
  @SubscribeMessage('say')
  say(): unknown {
    return { event: 'said' };
  }
}

@UseGuards(ThrottlerGuard)
@IsolatedGateway({ path: '/class' })
class ClassGateway {
  @SubscribeMessage('say') say(): unknown {
    return { event: 'said' };
  }
}

const errors: string[] = [];
const logger: LoggerService = {
  log: () => undefined,
  warn: () => undefined,
  error: (...lines: unknown[]) => void errors.push(lines.join(' ')),
};
const apps: TestApp[] = [];

async function start(throttler: object): Promise<number> {
  const app = await startApp({
    providers: [MessageGateway, ClassGateway],
    imports: [ThrottlerModule.forRoot([{ ttl: 60_000, limit: 2, ...throttler }])],
    logger,
  });
  apps.push(app);
  return app.port;
}

const methods = {
  startByAddress: (): Promise<number> => start({ ignoreUserAgents: [/bot/u] }),
  startByUser: (): Promise<number> =>
    start({ getTracker: () => UserExecutionContext.current().userId }),
  errors: (): readonly string[] => errors,
  async close(): Promise<void> {
    for (const app of apps) await app.close();
  },
};

export type ThrottledServerMethods = typeof methods;
serve(methods);
