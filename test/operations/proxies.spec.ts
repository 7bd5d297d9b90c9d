import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import { Proxy, type ProxyName } from '../../lab/proxy.js';
import { projectFile } from '../support/readme.js';
import { ServerProcess } from '../support/server-process.js';

const CLIENTS = 40;

const nodes: ServerProcess[] = [];
const clients: TestClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await Promise.all(nodes.splice(0).map((node) => node.kill()));
});

async function open(url: string): Promise<TestClient> {
  const client = await TestClient.open(url);
  clients.push(client);
  return client;
}

/** Connects through the proxy. Resolves with the status of the response. */
async function arrive(proxy: Proxy, user: string): Promise<number> {
  try {
    await open(`ws://127.0.0.1:${proxy.port}/app?user=${user}`);
    return 101;
  } catch (error) {
    if (error instanceof UpgradeRefused) return error.status;
    throw error;
  }
}

async function startNode(): Promise<ServerProcess> {
  const node = await ServerProcess.start({
    // Long deadlines, so that the node drains during the whole test.
    shutdown: { deadlineMs: 120_000 },
    cleanup: { disposeTimeoutMs: 120_000, closeTimeoutMs: 120_000 },
  });
  nodes.push(node);
  return node;
}

/**
 * Connects 40 clients through a proxy and drains one of the two nodes. The clients of that node reconnect at once, and
 * new clients connect. Resolves with the statuses that these clients got during the drain.
 */
async function drainOneOfTwo(
  name: ProxyName,
  change?: (block: string) => string,
): Promise<Set<number>> {
  const [leaving, staying] = [await startNode(), await startNode()];
  const guide = projectFile('docs/guide/deployment.md');
  const ports = [leaving.port, staying.port];
  await using proxy = await Proxy.start(name, guide, ports, change);
  // This handler keeps the node draining until the test has ended.
  const stuck = await open(leaving.url('stuck'));
  stuck.send('stuck');
  await eventually(async () => expect(await leaving.call('stuckHandlers')).toBe(1));
  const users = Array.from({ length: CLIENTS }, (_, index) => `user-${index}`);
  for (const user of users) expect(await arrive(proxy, user)).toBe(101);
  const { connected } = await leaving.call('story');
  const comingBack: Promise<number>[] = [];
  for (const { socket } of clients.slice(1)) {
    socket.once('close', (code: number) => {
      if (code === 1001) comingBack.push(arrive(proxy, `back-${comingBack.length}`));
    });
  }

  leaving.signal('SIGTERM');
  await eventually(() => expect(comingBack).toHaveLength(connected - 1));
  const direct = await TestClient.open(leaving.url('direct')).catch((error: unknown) => error);
  expect(direct).toMatchObject({ status: 503 });
  const arriving = users.map((user) => arrive(proxy, `new-${user}`));
  return new Set(await Promise.all([...arriving, ...comingBack]));
}

function withoutRetry(block: string): string {
  return block.replace(/proxy_next_upstream .*;/, '');
}

describe('While one of two nodes drains', () => {
  it.each<ProxyName>(['nginx', 'haproxy'])(
    'no client is refused with the configuration of the deployment guide for %s',
    async (name) => {
      expect(await drainOneOfTwo(name)).toEqual(new Set([101]));
    },
  );

  it('clients get 503 if nginx is not configured to try another node', async () => {
    expect(await drainOneOfTwo('nginx', withoutRetry)).toEqual(new Set([101, 503]));
  });
});
