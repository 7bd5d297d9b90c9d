import { describe, expect, it } from '@jest/globals';
import { TestClient } from 'nestjs-websocket-isolation/testing';

import type { TracedServerMethods } from '../processes/traced-server.process.js';
import { NodeProcess } from '../support/node-process.js';

const SERVER = new URL('../processes/traced-server.process.ts', import.meta.url);
const AGENTS = [
  ['WebSocket.prototype.send', new URL('../processes/agent-on-socket.js', import.meta.url)],
  ['Sender.prototype.send', new URL('../processes/agent-on-sender.js', import.meta.url)],
] as const;

/** Two connections of a user: a message to several connections takes another code path than a message to one. */
const EVENTS = ['hook', 'hook', 'send', 'send-async', 'emit-critical', 'to-user', 'to-user'];

describe('A tracing agent that is loaded with --import before the application', () => {
  it.each(AGENTS)('sees every message when it wraps %s', async (_name, agent) => {
    const server = new NodeProcess<TracedServerMethods>(SERVER, {}, ['--import', agent.href]);
    try {
      const url = `ws://127.0.0.1:${await server.call('port')}/app?user=ada`;
      const [first, second] = [await TestClient.open(url), await TestClient.open(url)];
      await first.next('hook');
      await second.next('hook');
      await server.call('sendEachWay', 'ada');
      await second.next('to-user');
      first.send('ask', {});
      await first.next('value');
      first.send('fail', {});
      await first.next('exception');

      const seen = (await server.call('seen')).map((text) => JSON.parse(text).event as string);
      expect(seen.toSorted()).toEqual([...EVENTS, 'value', 'exception'].toSorted());
      first.terminate();
      second.terminate();
      await server.call('close');
    } finally {
      await server.kill();
    }
  });
});
