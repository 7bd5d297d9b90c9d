import { runInNewContext } from 'node:vm';

import { describe, expect, it } from '@jest/globals';

import { InvalidContextError } from '../../src/context/context.errors.js';
import { UserExecutionContext } from '../../src/context/user-execution-context.js';

class Session {
  readonly #secret = 1;
  roles = ['user'];
  reveal = (): number => this.#secret;
}

const make = (identity: unknown): UserExecutionContext =>
  UserExecutionContext.fromWebSocketRequest(identity as { userId: string });

const withMetadata = (metadata: unknown): UserExecutionContext => make({ userId: 'ada', metadata });

function faultsOf(identity: unknown): string[] {
  try {
    make(identity);
  } catch (error) {
    if (!(error instanceof InvalidContextError)) throw error;
    return error.faults.map(({ field, rule }) => `${field} ${rule}`);
  }
  return [];
}

const throwing = {
  get roles(): never {
    throw new Error('no database');
  },
};

describe('ids', () => {
  it.each(['userId', 'threadId', 'runId', 'connectionId'])(
    'that are not well-formed Unicode are refused by name: %s',
    (field) => {
      for (const id of ['a\ud800', '\udc00a', '\udc00\ud800']) {
        expect(faultsOf({ userId: 'ada', [field]: id })).toEqual([
          `${field} must be well-formed Unicode, without half a surrogate pair`,
        ]);
      }
      expect(faultsOf({ userId: 'ada', [field]: 'a\ud83d\ude00' })).toEqual([]);
      expect(faultsOf({ userId: 'ada', [field]: 'a\ufffd' })).toEqual([]);
    },
  );

  it('are read once: later values of a getter are not used', () => {
    let reads = 0;
    const identity = {
      get userId(): string {
        reads += 1;
        return reads === 1 ? 'ada' : 'bob\ud800';
      },
    };
    expect(make(identity).userId).toBe('ada');
  });

  it('in a request do not become part of the identity', () => {
    const identity = { userId: 'ada', connectionId: 'conn_of_bob' };
    const context = UserExecutionContext.fromHttpRequest({ headers: {} }, identity);
    expect(context.connectionId).not.toBe('conn_of_bob');
  });
});

describe('metadata', () => {
  it('that is plain data is kept unchanged, and deeply frozen', () => {
    const shared = { id: 1 };
    const metadata = {
      texts: ['a', undefined, null],
      numbers: [Number.NaN, -0, Number.POSITIVE_INFINITY],
      big: 2n ** 64n,
      flag: false,
      nested: { deeper: [{ deepest: 'yes' }] },
      one: shared,
      two: shared,
      bare: Object.assign(Object.create(null), { kept: 1 }) as object,
      foreign: runInNewContext('({ list: [1, { a: 2 }] })') as object,
    };
    const context = withMetadata(metadata);
    expect(context.metadata).toEqual(metadata);
    expect(context.metadata['one']).toBe(context.metadata['two']);
    const { nested } = context.metadata as { nested: { deeper: { deepest: string }[] } };
    expect(() => (nested.deeper[0]!.deepest = 'no')).toThrow(TypeError);
    expect(() => nested.deeper.push({ deepest: 'no' })).toThrow(TypeError);
    metadata.nested.deeper[0]!.deepest = 'no';
    expect(nested.deeper[0]!.deepest).toBe('yes');
  });

  it('with a cycle keeps the cycle in the copy', () => {
    const metadata: Record<string, unknown> = { list: [] };
    metadata['self'] = metadata;
    (metadata['list'] as unknown[]).push(metadata);
    const copy = withMetadata(metadata).metadata;
    expect(copy).not.toBe(metadata);
    expect(copy['self']).toBe(copy);
    expect((copy['list'] as unknown[])[0]).toBe(copy);
    expect(Object.isFrozen(copy)).toBe(true);
  });

  it('with a key called __proto__ keeps it, and inherits nothing from it', () => {
    const metadata = JSON.parse('{"__proto__":{"isAdmin":true},"constructor":1}') as object;
    const copy = withMetadata(metadata).metadata;
    expect(Object.keys(copy)).toEqual(['__proto__', 'constructor']);
    expect(copy['isAdmin']).toBeUndefined();
    expect(Object.isFrozen(Object.getOwnPropertyDescriptor(copy, '__proto__')!.value)).toBe(true);
  });

  it('with getters has their values from a single read', () => {
    let reads = 0;
    const metadata = {
      get count(): number {
        return (reads += 1);
      },
    };
    const copy = withMetadata(metadata).metadata;
    expect([copy['count'], copy['count'], reads]).toEqual([1, 1, 1]);
  });

  it('with holes in an array keeps them', () => {
    const list: unknown[] = [];
    list.length = 3;
    list[1] = 'x';
    const copy = withMetadata({ list }).metadata['list'] as unknown[];
    expect([copy.length, 0 in copy, copy[1]]).toEqual([3, false, 'x']);
  });

  it.each<[string, unknown, string]>([
    [
      'a Set',
      { roles: new Set(['user']) },
      'metadata.roles must be plain data, not a Set: give an array',
    ],
    [
      'a Map',
      { a: { b: new Map() } },
      'metadata.a.b must be plain data, not a Map: give an object, for example by Object.fromEntries()',
    ],
    [
      'a Date',
      { list: [1, new Date()] },
      'metadata.list[1] must be plain data, not a Date: give its epoch milliseconds or toISOString()',
    ],
    [
      'an instance of a class',
      { session: new Session() },
      'metadata.session must be plain data, not an object of class Session: give an object with the fields you need',
    ],
    [
      'an instance of a class as a whole',
      new Session(),
      'metadata must be plain data, not an object of class Session: give an object with the fields you need',
    ],
    [
      'bytes',
      { 'key-of-it': Buffer.from('x') },
      'metadata["key-of-it"] must be plain data, not an object of class Buffer: give an array',
    ],
    ['a function', { can: () => true }, 'metadata.can must be plain data, not a function'],
    ['a symbol', { tag: Symbol('x') }, 'metadata.tag must be plain data, not a symbol'],
    [
      'a symbol as key',
      { [Symbol('role')]: 'admin' },
      'metadata[Symbol(role)] must have a string as its key',
    ],
    [
      'a property that is not enumerable',
      Object.defineProperty({}, 'role', { value: 'admin' }),
      'metadata.role must be enumerable',
    ],
    ['a getter that throws', { user: throwing }, 'metadata.user.roles cannot be read: it throws'],
    [
      'a key that is not well-formed',
      { 'a\ud800': 1 },
      String.raw`metadata["a\ud800"] must have a key that is well-formed Unicode`,
    ],
    ['a text', 'admin', 'metadata must be an object, not a string'],
    ['a list', ['admin'], 'metadata must be an object, not an array'],
    ['a key that belongs to the context', { userId: 'bob' }, 'metadata must not carry userId'],
  ])('with %s is refused, and the error names its path', (_name, metadata, fault) => {
    expect(faultsOf({ userId: 'ada', metadata })).toEqual([fault]);
  });

  it('that is too deep is refused at any depth', () => {
    let metadata: object = {};
    for (let depth = 0; depth < 100_000; depth += 1) metadata = { in: metadata };
    expect(faultsOf({ userId: 'ada', metadata })).toEqual([
      `metadata${'.in'.repeat(64)} must not be deeper than 64`,
    ]);
  });

  it('with many faults lists ten', () => {
    const metadata = { list: Array.from({ length: 1_000 }, () => new Set()) };
    expect(faultsOf({ userId: 'ada', metadata })).toHaveLength(10);
  });
});

describe('an identity from a database or a token', () => {
  it('has no thread, run, end or metadata where they are null', () => {
    const nothing = { threadId: null, runId: null, expiresAt: null, metadata: null };
    const context = make({ userId: 'ada', ...nothing });
    expect(context.threadId).toMatch(/^thread_/);
    expect(context.runId).toMatch(/^run_/);
    expect(context).toMatchObject({ expiresAt: undefined, metadata: {}, isThreadNamed: false });
  });

  it.each<[string, unknown, string]>([
    ['no user', { sub: 'ada', exp: 1 }, 'userId is missing (the identity has sub, exp)'],
    ['null as the user', { userId: null }, 'userId is missing'],
    ['a number as the user', { userId: 42 }, 'userId must be a string, not a number'],
    ['nothing', undefined, 'identity must be an object with a userId, not undefined'],
    ['null', null, 'identity must be an object with a userId, not null'],
    ['true', true, 'identity must be an object with a userId, not a boolean'],
    [
      'a text as its end',
      { userId: 'ada', expiresAt: '2030-01-01' },
      'expiresAt must be a Date or a number of epoch milliseconds, not a string',
    ],
    [
      'NaN as its end',
      { userId: 'ada', expiresAt: Number.NaN },
      'expiresAt must be a Date or a number of epoch milliseconds, not NaN',
    ],
    [
      'an invalid date as its end',
      { userId: 'ada', expiresAt: new Date('soon') },
      'expiresAt must be a Date or a number of epoch milliseconds, not an invalid Date',
    ],
    [
      'nanoseconds as its end',
      { userId: 'ada', expiresAt: 1.9e18 },
      'expiresAt must be a Date or a number of epoch milliseconds, not a number outside the range of a Date',
    ],
    [
      'an instance of another library as its end',
      { userId: 'ada', expiresAt: new Session() },
      'expiresAt must be a Date or a number of epoch milliseconds, not an object of class Session',
    ],
  ])('is refused with %s, and the error names the field', (_name, identity, fault) => {
    expect(faultsOf(identity)).toEqual([fault]);
  });

  it('may have a Date of another realm as its end', () => {
    const expiresAt = runInNewContext('new Date(4e12)') as Date;
    expect(make({ userId: 'ada', expiresAt }).expiresAt?.getTime()).toBe(4e12);
  });
});
