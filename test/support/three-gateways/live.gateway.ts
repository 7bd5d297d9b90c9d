import { Controller, Param, ParseFloatPipe, Post } from '@nestjs/common';
import { IsolatedGateway, WebSocketEmitter } from 'nestjs-websocket-isolation';

import { type Live, live } from './contracts.js';

@IsolatedGateway({ path: '/live', contract: live })
export class LiveGateway {}

/** Where the numbers of the dashboard come from. */
@Controller('gauges')
export class GaugesController {
  constructor(private readonly emitter: WebSocketEmitter<Live>) {}

  @Post(':name/:value')
  measure(@Param('name') name: string, @Param('value', ParseFloatPipe) value: number): object {
    return this.emitter.toTopic(`gauge:${name}`).send('sample', { value });
  }

  @Post('maintenance')
  announce(): object {
    return this.emitter.toAll().send('maintenance', { at: new Date('2030-01-01') });
  }
}
