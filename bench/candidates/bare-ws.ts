import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { WebSocket, WebSocketServer } from 'ws';

import { DEFLATE, NEWS, PATH, type StartServer } from './candidate.js';
import { Questions } from './questions-by-hand.js';

/** The lower bound: a bare `ws` server that parses JSON and sends JSON back. */
export const start: StartServer = async ({ deflates }) => {
  const httpServer = createServer();
  const questions = new Questions();
  const server = new WebSocketServer({
    server: httpServer,
    path: PATH,
    perMessageDeflate: deflates ? DEFLATE : false,
  });
  server.on('connection', (client) => {
    client.on('error', console.error);
    client.on('message', (frame: Buffer) => {
      const { event, data, ask } = JSON.parse(frame.toString()) as {
        event: string;
        data: unknown;
        ask?: string;
      };
      if (event === 'answer' && ask !== undefined) questions.answered(ask, data);
      else if (event === 'echo') client.send(JSON.stringify({ event: 'echo', data }));
    });
  });
  const toAll = (): void => {
    const frame = Buffer.from(JSON.stringify({ event: 'news', data: NEWS }));
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(frame, { binary: false });
    }
  };
  httpServer.listen(0, '127.0.0.1');
  await once(httpServer, 'listening');
  return {
    port: (httpServer.address() as AddressInfo).port,
    httpServer,
    toCrowd: toAll,
    toTopic: toAll,
    askAll: async (each) => {
      const askInTurn = async (client: WebSocket): Promise<void> => {
        for (let asked = 0; asked < each; asked += 1) await questions.ask(client, 'sure?', NEWS);
      };
      await Promise.all(Array.from(server.clients, askInTurn));
    },
    // The ping loop from the documentation of `ws`, for comparison with the library's heartbeat.
    startPinging: (intervalMs) => {
      const alive = new WeakSet<WebSocket>();
      const welcome = (client: WebSocket): void => {
        alive.add(client);
        client.on('pong', () => alive.add(client));
      };
      server.clients.forEach(welcome);
      server.on('connection', welcome);
      setInterval(() => {
        for (const client of server.clients) {
          if (!alive.delete(client)) client.terminate();
          else client.ping();
        }
      }, intervalMs);
    },
  };
};
