import { queryObjects } from 'node:v8';

import {
  type AskingAudience,
  type IsolationError,
  IsolatedGateway,
  WebSocketEmitter,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { redisCluster, type RedisClusterOptions } from 'nestjs-websocket-isolation/redis';

import { Asking } from '../../src/manager/asking.js';
import { Question } from '../../src/manager/question.js';
import { serve } from '../support/node-process.js';
import { startApp } from '../support/test-app.js';

/** What a question carries, and what the client that answers it sends back. */
export interface Asked {
  readonly asker: string;
  readonly index: number;
}

/** How questions have ended. */
export interface Outcomes {
  readonly resolved: number;
  /** Answers to another question. */
  readonly wrong: number;
  /** Rejections, by code. */
  readonly rejected: Readonly<Record<string, number>>;
}

@IsolatedGateway({ path: '/chat' })
class ChatGateway {}

const node = await startApp({
  providers: [ChatGateway],
  options: { cluster: redisCluster(JSON.parse(process.argv[2]!) as RedisClusterOptions) },
});
const emitter = node.app.get(WebSocketEmitter);
const { asks } = node.app.get(WebSocketManagerFactory).bookkeeping;

/** Open questions at a time. */
const WINDOW = 50;
/** Longer than any trial: a question that is lost is seen, because the trial does not end. */
const timeoutMs = 2_000_000_000;

const methods = {
  port: (): number => node.port,
  /** Asks users in turn: their connections on all nodes. Resolves when all questions have ended. */
  ask: async (asker: string, users: readonly string[], count: number): Promise<Outcomes> => {
    const outcomes = { resolved: 0, wrong: 0, rejected: {} as Record<string, number> };
    let next = 0;
    const askOn = async (): Promise<void> => {
      while (next < count) {
        const index = next;
        next += 1;
        const user = users[index % users.length]!;
        const audience: AskingAudience =
          index % 3 === 0 ? emitter.toThread(user, 'tea') : emitter.toUser(user);
        try {
          const answer = await audience.ask<Asked>('n', { asker, index }, { timeoutMs });
          outcomes.resolved += 1;
          if (answer.asker !== asker || answer.index !== index) outcomes.wrong += 1;
        } catch (error) {
          const { code = String(error) } = error as Partial<IsolationError>;
          outcomes.rejected[code] = (outcomes.rejected[code] ?? 0) + 1;
        }
      }
    };
    await Promise.all(Array.from({ length: WINDOW }, askOn));
    return outcomes;
  },
  /** What questions have left in the memory of this process: all zeros when nothing is left. */
  left: (): Record<string, number> => {
    globalThis.gc!();
    const objects = [Asking, Question].map((type) => queryObjects(type, { format: 'count' }));
    return { size: asks.size, asked: asks.asked, asking: objects[0]!, questions: objects[1]! };
  },
  close: async (): Promise<void> => {
    await node.close();
    setImmediate(() => process.disconnect());
  },
};

export type AskNodeMethods = typeof methods;

serve(methods);
