import type { Server as HttpServer } from 'node:http';

import { ConnectedSocket, MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { map, range } from 'rxjs';
import { WebSocket, WebSocketServer } from 'ws';

import { gateway, pause, startApp, until } from '../app.js';
import type { Probe } from '../probe.js';

const MIB = 1_048_576;

export const unboundedHandlers: Probe = {
  event: 'a client sends 5,000 messages to a slow handler',
  good: '16 handlers at once',
  async run(side) {
    let [running, most] = [0, 0];
    @gateway(side)
    class Gateway {
      @SubscribeMessage('work') async work(): Promise<void> {
        running += 1;
        most = Math.max(most, running);
        await pause(500);
        running -= 1;
      }
    }
    const { connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.opened();
    for (let sent = 0; sent < 5_000; sent += 1) client.send('work');
    await pause(450);
    return `${most} handlers at once`;
  },
};

export const stoppedReader: Probe = {
  event: 'a client asks for a stream of 64 MiB and stops reading',
  good: 'at most 1 MiB is buffered, then the connection is closed',
  async run(side) {
    let socket: WebSocket | undefined;
    const text = 'x'.repeat(65_536);
    let most = 0;
    @gateway(side)
    class Gateway {
      @SubscribeMessage('stream') stream(@ConnectedSocket() client: WebSocket): unknown {
        socket = client;
        return range(0, 1_024).pipe(
          map(() => {
            most = Math.max(most, client.bufferedAmount);
            return { event: 'part', data: text };
          }),
        );
      }
    }
    const { connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.opened();
    client.send('stream');
    client.socket.pause();
    await until(() => socket !== undefined);
    await pause(200);
    if (socket?.readyState === 1) return `more than ${most > 32 * MIB ? 32 : 1} MiB are buffered`;
    return most <= MIB
      ? 'at most 1 MiB is buffered, then the connection is closed'
      : `${most} bytes were buffered`;
  },
};

export const hugeMessage: Probe = {
  event: 'a client sends a message of 20 MiB',
  good: 'closed with 1009',
  async run(side) {
    @gateway(side)
    class Gateway {
      @SubscribeMessage('hi') hi(@MessageBody() text: string): unknown {
        return { event: 'read', data: text.length };
      }
    }
    const { connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.opened();
    client.send('hi', 'x'.repeat(20 * MIB));
    await until(() => client.received.length > 0 || client.end !== 'open', 5_000);
    return client.received.length > 0 ? 'read and handled' : client.end;
  },
};

export const foreignOrigin: Probe = {
  event: 'a page of another origin connects with the cookies of its visitor',
  good: 'refused with 403',
  async run(side) {
    @gateway(side)
    class Gateway {
      handleConnection(): void {
        // Admits every client.
      }
    }
    const { connect } = await startApp(side, { providers: [Gateway] });
    const client = connect({ origin: 'https://evil.example', headers: { cookie: 'session=1' } });
    await client.opened();
    return client.end === 'open' ? 'connected' : client.end;
  },
};

export const otherLibrary: Probe = {
  event: 'another library serves WebSockets on another path of the same HTTP server',
  good: 'served',
  async run(side) {
    @gateway(side)
    class Gateway {
      handleConnection(): void {
        // The probe does not depend on this hook.
      }
    }
    const { app, connect } = await startApp(side, { providers: [Gateway] });
    const other = new WebSocketServer({ noServer: true });
    const httpServer = app.getHttpServer() as HttpServer;
    httpServer.on('upgrade', (request, socket, head) => {
      if (request.url === '/graphql') {
        other.handleUpgrade(request, socket, head, () => undefined);
      }
    });
    const client = connect();
    await client.opened();
    const graphql = new WebSocket(client.socket.url.replace('/probe', '/graphql'));
    const outcome = new Promise<string>((resolve) => {
      graphql.on('open', () => resolve('served')).on('error', () => resolve('cut off'));
    });
    return outcome;
  },
};
