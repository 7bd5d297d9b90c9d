import { describe, expect, it } from '@jest/globals';

import { InvalidContextError, NoActiveContextError } from '../../src/context/context.errors.js';
import { parseIsolationKey } from '../../src/context/isolation-key.js';
import { runInContext } from '../../src/context/running-code.js';
import { UserExecutionContext } from '../../src/context/user-execution-context.js';

const contextOf = (userId: string, threadId?: string) =>
  UserExecutionContext.fromWebSocketRequest({
    userId,
    ...(threadId !== undefined && { threadId }),
  });

const faultsOf = (identity: Parameters<typeof UserExecutionContext.fromWebSocketRequest>[0]) => {
  try {
    UserExecutionContext.fromWebSocketRequest(identity);
  } catch (error) {
    return (error as InvalidContextError).faults;
  }
  throw new Error('the identity was accepted');
};

describe('UserExecutionContext', () => {
  it('generates missing ids, and each id is unique', () => {
    const contexts = Array.from({ length: 1000 }, () => contextOf('alice'));
    const [first] = contexts;
    expect(first).toMatchObject({
      threadId: expect.stringMatching(/^thread_[0-9A-Z]{26}$/),
      runId: expect.stringMatching(/^run_[0-9A-Z]{26}$/),
      requestId: expect.stringMatching(/^req_[0-9A-Z]{26}$/),
      connectionId: expect.stringMatching(/^conn_[0-9A-Z]{26}$/),
      operationDepth: 0,
    });
    const ids = contexts.flatMap(({ threadId, runId, requestId, connectionId }) =>
      [threadId, runId, requestId, connectionId].map((id) => id.slice(id.indexOf('_'))),
    );
    expect(new Set(ids).size).toBe(4000);
  });

  it('keeps the ids that it makes when they are first read, also in its copies', () => {
    const context = contextOf('alice');
    const child = context.child('step');
    expect(child).toMatchObject({
      runId: context.runId,
      parentRequestId: context.requestId,
      connectionId: context.connectionId,
    });
    expect(context.toJSON()).toMatchObject({ runId: child.runId, requestId: context.requestId });
  });

  it('is deeply frozen, and a copy', () => {
    const metadata = { roles: ['admin'] };
    const context = UserExecutionContext.fromWebSocketRequest({ userId: 'alice', metadata });
    metadata.roles.push('root');
    expect(context.metadata).toEqual({ roles: ['admin'] });
    expect(Object.isFrozen(context)).toBe(true);
    expect(() => (context.metadata['roles'] as string[]).push('x')).toThrow('not extensible');
    context.createdAt.setTime(0);
    expect(context.createdAt.getTime()).not.toBe(0);
  });

  it.each([
    ['a:b', 'c', 'a%3Ab:c'],
    ['a', 'b:c', 'a:b%3Ac'],
    ['a%3Ab', 'c', 'a%253Ab:c'],
    ['alice', 'thread-1', 'alice:thread-1'],
  ])('gives %s and %s a distinct isolation key', (userId, threadId, key) => {
    expect(contextOf(userId, threadId).isolationKey).toBe(key);
    expect(parseIsolationKey(key)).toEqual({ userId, threadId });
  });

  it('refuses every placeholder and malformed id, and lists all faults at once', () => {
    const placeholders =
      'placeholder registry default temp none null undefined 0 1 xxx yyy example test demo sample template mock fake dummy';
    for (const id of placeholders.split(' ')) {
      expect(faultsOf({ userId: id.toUpperCase() })).toHaveLength(1);
    }
    for (const id of ['', '  ', 'a\u0000b', 'x'.repeat(257), 'demo_x', 'Mock_user', 7 as never]) {
      expect(faultsOf({ userId: id })).toHaveLength(1);
    }
    expect(contextOf('demo_user_with_a_long_real_id').userId).toMatch(/^demo_/);
    expect(
      faultsOf({ userId: '', threadId: 'null', runId: '\n', metadata: { userId: 'x' } }).map(
        ({ field }) => field,
      ),
    ).toEqual(['userId', 'threadId', 'runId', 'metadata']);
  });

  it('takes test_ ids only in tests', () => {
    expect(contextOf('test_1').userId).toBe('test_1');
    process.env['NODE_ENV'] = 'production';
    try {
      expect(() => contextOf('test_1')).toThrow(InvalidContextError);
    } finally {
      process.env['NODE_ENV'] = 'test';
    }
  });

  it('nests operations ten deep and no deeper', () => {
    let context = contextOf('alice');
    const root = context;
    for (let depth = 1; depth <= 10; depth += 1) context = context.child('step');
    expect(context).toMatchObject({ operationDepth: 10, threadId: root.threadId });
    expect(context.requestId).not.toBe(root.requestId);
    expect(() => context.child('step')).toThrow(InvalidContextError);
    expect(root.run().runId).not.toBe(root.runId);
  });

  it('is current() inside a handler only', async () => {
    const context = contextOf('alice');
    await runInContext(
      { context, waits: () => () => undefined },
      async () => {
        await Promise.resolve();
        expect(UserExecutionContext.current()).toBe(context);
      },
      undefined,
    );
    expect(() => UserExecutionContext.current()).toThrow(NoActiveContextError);
  });
});
