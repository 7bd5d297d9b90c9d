import { setTimeout as pause } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { WebSocket } from 'ws';

import { NodeProcess } from '../support/node-process.js';
import { TestRedis } from '../support/redis.js';
import { SEED } from '../support/seed.js';
import type { Asked, AskNodeMethods } from './ask-node.process.js';

const NODE = new URL('ask-node.process.ts', import.meta.url);

/** The promise is stated for the full size, which takes minutes: `ASKS_TRIAL=full`. */
const IS_FULL = process.env['ASKS_TRIAL'] === 'full';
const ASKS = IS_FULL ? 10_002 : 900;
const USERS = IS_FULL ? 60 : 20;
const CONNECTIONS_OF_A_USER = 2;
const PATIENCE_MS = IS_FULL ? 3_600_000 : 900_000;
/** The reasons that the documentation names for a question that no connection answers. */
const REASONS = new Set(['ASK_REJECTED', 'NO_RECEIVER']);

const soon = (assertion: () => void): Promise<void> => eventually(assertion, PATIENCE_MS);

interface Question {
  readonly event: string;
  readonly ask?: string;
  readonly data: Asked;
}

/** A client that answers most questions, refuses some, and is cut by others; it comes back on any node. */
class Answerer {
  answers = 0;
  /** Questions that were asked twice over one connection. */
  repeated = 0;
  isOpen = false;
  #socket: WebSocket | undefined;
  #isStopped = false;

  constructor(
    private readonly userId: string,
    private readonly port: () => number,
  ) {}

  start(): void {
    if (this.#isStopped) return;
    const url = `ws://127.0.0.1:${this.port()}/chat?user=${this.userId}&thread=tea`;
    const socket = new WebSocket(url);
    const seen = new Set<string>();
    this.#socket = socket;
    socket.on('open', () => (this.isOpen = true));
    socket.on('message', (text: Buffer) => {
      const { event, ask, data } = JSON.parse(text.toString()) as Question;
      if (event !== 'n' || ask === undefined) return;
      if (seen.has(ask)) this.repeated += 1;
      seen.add(ask);
      this.#answer(socket, ask, data);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isOpen = false;
      void pause(10).then(() => this.start());
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#socket?.terminate();
  }

  #answer(socket: WebSocket, ask: string, data: Asked): void {
    this.answers += 1;
    const error = { code: 'NO_SCREEN', message: 'no screen' };
    const kind = (data.index * 7 + this.answers) % 40;
    if (kind === 0) socket.terminate();
    else if (kind < 4) socket.send(JSON.stringify({ event: 'answer', ask, error }));
    else socket.send(JSON.stringify({ event: 'answer', ask, data }));
  }
}

class Trial {
  readonly nodes: NodeProcess<AskNodeMethods>[] = [];
  readonly users = Array.from({ length: USERS }, (_, index) => `user-${index}`);
  readonly clients: Answerer[];
  readonly #ports: number[] = [];
  #next = SEED;

  constructor(private readonly redis: TestRedis) {
    this.clients = this.users.flatMap((userId) =>
      Array.from({ length: CONNECTIONS_OF_A_USER }, () => new Answerer(userId, () => this.#port())),
    );
  }

  async start(): Promise<void> {
    // A lease that outlasts a busy machine: nodes without leases get no questions.
    const config = {
      url: this.redis.url,
      leaseMs: 120_000,
      renewMs: 2_000,
      heartbeatMs: 1_000,
      acquireTimeoutMs: 30_000,
      commandTimeoutMs: 30_000,
    };
    for (let count = 0; count < 3; count += 1) {
      // `v8.queryObjects` is experimental.
      const quiet = ['--disable-warning=ExperimentalWarning'];
      const node = new NodeProcess<AskNodeMethods>(NODE, config, quiet);
      this.nodes.push(node);
      this.#ports.push(await node.call('port'));
    }
    for (const client of this.clients) client.start();
    await soon(() => expect(this.clients.filter(({ isOpen }) => !isOpen)).toEqual([]));
  }

  /** The last node is killed, and its clients connect to the others. */
  async kill(): Promise<void> {
    this.#ports.pop();
    await this.nodes.pop()!.kill();
  }

  sum(of: (client: Answerer) => number): number {
    return this.clients.reduce((total, client) => total + of(client), 0);
  }

  async end(): Promise<void> {
    for (const client of this.clients) client.stop();
    await Promise.all(this.nodes.map((node) => node.kill()));
    await this.redis.stop();
  }

  #port(): number {
    this.#next += 1;
    return this.#ports[this.#next % this.#ports.length]!;
  }
}

let trial: Trial;
afterEach(() => trial.end());

describe(`questions on three processes (seed ${SEED})`, () => {
  it(`end once each, ${ASKS} of them, while clients are cut and a node is killed`, async () => {
    trial = new Trial(await TestRedis.start());
    await trial.start();
    const share = ASKS / 3;
    const startedAt = performance.now();
    const asking = trial.nodes.map((node, index) =>
      node.call('ask', `node-${index}`, trial.users, share),
    );
    const doomed = asking.pop()!.catch(() => 'killed');
    // In the middle: questions of the node, and questions to its clients, are open.
    await soon(() => expect(trial.sum(({ answers }) => answers)).toBeGreaterThan(ASKS / 3));
    await trial.kill();
    expect(await doomed).toBe('killed');
    const outcomes = await Promise.all(asking);

    for (const { resolved, wrong, rejected } of outcomes) {
      const sum = Object.values(rejected).reduce((total, count) => total + count, 0);
      expect(resolved + sum).toBe(share);
      expect(wrong).toBe(0);
      expect(Object.keys(rejected).filter((code) => !REASONS.has(code))).toEqual([]);
      expect(resolved).toBeGreaterThan(share / 2);
    }
    expect(trial.sum(({ repeated }) => repeated)).toBe(0);
    process.stdout.write(
      `asks-trial: ${JSON.stringify(outcomes)}, ${trial.sum(({ answers }) => answers)} answers, ` +
        `${Math.round(performance.now() - startedAt)} ms\n`,
    );

    for (const client of trial.clients) client.stop();
    for (const node of trial.nodes) {
      await eventually(async () => {
        const none = { size: 0, asked: 0, asking: 0, questions: 0 };
        expect(await node.call('left')).toEqual(none);
      }, PATIENCE_MS);
    }
  });
});
