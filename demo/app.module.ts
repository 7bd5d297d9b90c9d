import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { WebSocketIsolationModule } from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { WebSocketIsolationHealthModule } from 'nestjs-websocket-isolation/health';
import { WebSocketIsolationMetricsModule } from 'nestjs-websocket-isolation/metrics';
import { WebSocketIsolationTracingModule } from 'nestjs-websocket-isolation/otel';

import { Assistant } from './assistant.js';
import { ChatGateway } from './chat.gateway.js';
import { ClientController } from './client.controller.js';
import { clusterOptions } from './cluster-options.js';
import { Conversation } from './conversation.js';
import { DashboardGuard } from './dashboard.guard.js';
import { EventLog } from './event-log.js';
import { HealthController } from './health.controller.js';
import { PageController } from './page.controller.js';
import { PlaygroundController } from './playground.controller.js';
import { mayEnter } from './rooms.js';
import { SignInController } from './sign-in.controller.js';
import { SignedTokens } from './signed-tokens.js';
import { TokenAuthenticator } from './token.authenticator.js';

/** Makes the demo more patient with its clients, for a slow machine. */
const PACE = Number(process.env['DEMO_PACE'] ?? 1);

@Module({
  imports: [
    WebSocketIsolationModule.forRoot({
      authenticator: TokenAuthenticator,
      ...clusterOptions(),
      topics: { authorizer: mayEnter, presence: true, presenceIntervalMs: 200, history: {} },
      // A browser cannot read the status of a refused upgrade request, but it can read a close code.
      handshake: { rejectWith: 'close' },
      // Short times for the demo. A real application sets minutes.
      cleanup: {
        staleAfterMs: 15_000 * PACE,
        idleTimeoutMs: 120_000 * PACE,
        proactiveIntervalMs: 5_000,
        emergencyIntervalMs: 5_000,
      },
      heartbeat: { intervalMs: 5_000 * PACE, timeoutMs: 3_000 * PACE },
    }),
    WebSocketIsolationDashboardModule.forRoot({
      path: 'dashboard',
      guard: DashboardGuard,
      // In the demo, every visitor may act as an operator.
      canAct: () => true,
      keepHistory: true,
    }),
    TerminusModule,
    WebSocketIsolationHealthModule.forRoot(),
    WebSocketIsolationMetricsModule.forRoot({ path: 'metrics' }),
    // Spans go to the SDK that the process is started with (`node --import …`). Without an SDK they are dropped.
    WebSocketIsolationTracingModule.forRoot(),
  ],
  controllers: [
    HealthController,
    PageController,
    ClientController,
    SignInController,
    PlaygroundController,
  ],
  providers: [SignedTokens, TokenAuthenticator, ChatGateway, Conversation, Assistant, EventLog],
})
export class AppModule {}
