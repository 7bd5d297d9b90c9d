import type { Server } from 'node:http';

import { afterEach, describe, expect, it } from '@jest/globals';
import { Body, Controller, Get, type INestApplication, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, WebSocketIsolationModule } from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { RawSocket } from '../support/raw-socket.js';
import { queryAuthenticator } from '../support/test-app.js';

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  @SubscribeMessage('hi') hi(): unknown {
    return { event: 'hi' };
  }
}

@Controller('rest')
class RestController {
  @Get() read(): string {
    return 'read';
  }
  @Post() write(@Body() body: { text: string }): string {
    return `written ${body.text}`;
  }
}

@Module({
  imports: [WebSocketIsolationModule.forRoot({ authenticator: queryAuthenticator })],
  controllers: [RestController],
  providers: [ChatGateway],
})
class AppModule {}

let app: INestApplication | undefined;
let port = 0;
const sockets: RawSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await app?.close();
});

async function open(): Promise<RawSocket> {
  const socket = await RawSocket.open(port);
  sockets.push(socket);
  return socket;
}

const H2C =
  'Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
const count = (text: string, part: string): number => text.split(part).length - 1;

describe.each([
  ['Express', () => NestFactory.create(AppModule, { logger: false })],
  ['Fastify', () => NestFactory.create(AppModule, new FastifyAdapter(), { logger: false })],
])('a request on %s that offers another protocol', (_name, create) => {
  async function start(): Promise<void> {
    app = await create();
    await app.listen(0, '127.0.0.1');
    ({ port } = (app.getHttpServer() as Server).address() as { port: number });
  }

  it('is served by its route, and the connection stays open', async () => {
    await start();
    const raw = await open();
    raw.write(`GET /rest HTTP/1.1\r\n${H2C}\r\n`);
    await eventually(() => expect(raw.received).toMatch(/^HTTP\/1\.1 200[^]*read$/));
    raw.write(`GET /rest HTTP/1.1\r\n${H2C}\r\n`);
    await eventually(() => expect(count(raw.received, 'HTTP/1.1 200')).toBe(2));
  });

  it('may have a body, in any chunks', async () => {
    await start();
    const body = '{"text":"tea"}';
    const head = `POST /rest HTTP/1.1\r\n${H2C}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    for (const pieces of [[head + body], [head, body], [head + body.slice(0, 5), body.slice(5)]]) {
      const raw = await open();
      for (const piece of pieces) {
        raw.write(piece);
        await new Promise(setImmediate);
      }
      await eventually(() => expect(raw.received).toMatch(/^HTTP\/1\.1 201[^]*written tea$/));
    }
  });

  it('gets the 404 of the app on the path of a gateway, and the gateway still works', async () => {
    await start();
    const raw = await open();
    raw.write(`GET /chat?user=ada HTTP/1.1\r\n${H2C}\r\n`);
    await eventually(() => expect(raw.status).toBe(404));
    const client = await TestClient.open(`ws://127.0.0.1:${port}/chat?user=ada`);
    expect(await client.ask('hi')).toEqual({ event: 'hi' });
    await client.close();
  });

  it('does not keep the app from closing', async () => {
    await start();
    const raw = await open();
    raw.write(`GET /rest HTTP/1.1\r\n${H2C}\r\n`);
    await eventually(() => expect(raw.status).toBe(200));
    await app!.close();
    app = undefined;
    await eventually(() => expect(raw.isClosed).toBe(true));
  });
});
