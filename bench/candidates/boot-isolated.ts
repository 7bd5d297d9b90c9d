import { Module } from '@nestjs/common';
import { IsolatedGateway, WebSocketIsolationModule } from 'nestjs-websocket-isolation';

import { startNest } from './nest-app.js';
import { Rooms, twentyGateways } from './twenty-gateways.js';

@Module({
  imports: [WebSocketIsolationModule.forRoot({ authenticator: () => ({ userId: 'ada' }) })],
  providers: [Rooms, ...twentyGateways((path) => IsolatedGateway({ path }))],
})
class AppModule {}

/** Boots the same twenty gateways, isolated. */
export async function boot(): Promise<void> {
  await startNest(AppModule);
}
