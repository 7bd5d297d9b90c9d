import { afterEach, describe, expect, it } from '@jest/globals';
import type { ConnectionIdentity, WebSocketIsolationOptions } from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { TestRedis } from '../support/redis.js';
import { queryAuthenticator } from '../support/test-app.js';
import { LocalNode } from './local-node.js';

/** What ends after the test, the last one first. */
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** Handshakes of attackers, which hang until they are released. */
let hanging: (() => void)[] = [];

async function authenticate(request: {
  url?: string | undefined;
}): Promise<ConnectionIdentity | null> {
  if (!request.url!.includes('attacker')) return queryAuthenticator(request);
  await new Promise<void>((resolve) => hanging.push(resolve));
  return null;
}

const OPTIONS: WebSocketIsolationOptions = {
  authenticator: authenticate,
  resume: {},
  handshake: { maxPending: 1 },
};

async function startNode(url: string): Promise<LocalNode> {
  const node = await LocalNode.start({ url }, OPTIONS);
  ends.push(() => node.close());
  return node;
}

async function arrive({ port }: LocalNode, query: string): Promise<TestClient> {
  const client = await TestClient.open(`ws://127.0.0.1:${port}/chat?${query}`);
  ends.push(() => client.terminate());
  return client;
}

describe('A position that one node of a cluster has sealed', () => {
  it('lets its client go first on another node, and one that is changed does not', async () => {
    hanging = [];
    const redis = await TestRedis.start();
    ends.push(() => redis.stop());
    const [first, second] = [await startNode(redis.url), await startNode(redis.url)];
    const client = await arrive(first, 'user=ada&thread=tea');
    await client.next('resume');
    const { position } = client.messages.at(-1)!;
    client.terminate();

    const attacker = arrive(second, 'user=attacker').catch((error: unknown) => error);
    await eventually(() => expect(hanging).toHaveLength(1));
    const refused = { status: 503 };
    await expect(arrive(second, 'user=ada&thread=tea')).rejects.toMatchObject(refused);
    const changed = position!.replace('.', 'x.');
    const forged = arrive(second, `user=ada&thread=tea&resume=${changed}`);
    await expect(forged).rejects.toMatchObject(refused);
    const returned = await arrive(second, `user=ada&thread=tea&resume=${position!}`);
    expect(await returned.next('resume')).toMatchObject({ data: { status: 'recovered' } });

    for (const release of hanging) release();
    expect(await attacker).toMatchObject({ status: 401 });
  });
});
