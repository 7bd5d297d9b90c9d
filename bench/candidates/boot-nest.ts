import { Module } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { WebSocketGateway } from '@nestjs/websockets';

import { startNest } from './nest-app.js';
import { Rooms, twentyGateways } from './twenty-gateways.js';

@Module({ providers: [Rooms, ...twentyGateways((path) => WebSocketGateway({ path }))] })
class AppModule {}

/** Boots twenty gateways of stock Nest. */
export async function boot(): Promise<void> {
  await startNest(AppModule, (app) => new WsAdapter(app));
}
