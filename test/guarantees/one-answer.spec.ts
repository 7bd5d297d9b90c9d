import { setImmediate as turn } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type NestInterceptor,
  type PipeTransform,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import fc from 'fast-check';
import {
  CurrentManager,
  IsolatedGateway,
  MessageSignal,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';
import { concatMap, from, map, type Observable, of, throwError } from 'rxjs';

import { SEED } from '../support/seed.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** Random sequences of messages, for each way in which the connection may end. */
const RUNS = Number(process.env['ONE_ANSWER_RUNS'] ?? 8);

interface Data {
  readonly nonce: number;
  /** Turns of the event loop that the handler takes. */
  readonly turns: number;
}

async function after({ turns }: Data): Promise<void> {
  for (let passed = 0; passed < turns; passed += 1) await turn();
}
const said = (data: Data): object => ({ event: 'said', data: { nonce: data.nonce } });
const item = (data: Data): object => ({ event: 'item', data: { nonce: data.nonce } });

class Never implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}
class NotYet implements CanActivate {
  async canActivate(): Promise<boolean> {
    await turn();
    return false;
  }
}
class Refuse implements PipeTransform {
  transform(): never {
    throw new BadRequestException('no');
  }
}
class Later implements PipeTransform {
  async transform(value: Data): Promise<Data> {
    await after(value);
    return value;
  }
}
class Pass implements NestInterceptor {
  intercept(_context: unknown, next: { handle(): Observable<unknown> }): Observable<unknown> {
    return next.handle().pipe(map((value) => value));
  }
}
type Host = { switchToWs(): { getClient(): { send(text: string): void } } };
@Catch()
class OwnWords implements ExceptionFilter {
  catch(_error: unknown, host: Host): void {
    host.switchToWs().getClient().send('{"event":"own words"}');
  }
}
@Catch()
class LateWords implements ExceptionFilter {
  async catch(_error: unknown, host: Host): Promise<void> {
    await turn();
    host.switchToWs().getClient().send('{"event":"own words"}');
  }
}

@IsolatedGateway({ path: '/one' })
class EveryEnding {
  @SubscribeMessage('value') value(@MessageBody() data: Data): unknown {
    return said(data);
  }
  @SubscribeMessage('bare') bare(): unknown {
    return 7;
  }
  @SubscribeMessage('promise') async promise(@MessageBody() data: Data): Promise<unknown> {
    await after(data);
    return said(data);
  }
  @SubscribeMessage('nothing') nothing(): void {
    /* returns nothing */
  }
  @SubscribeMessage('later nothing') async laterNothing(@MessageBody() data: Data): Promise<void> {
    await after(data);
  }
  @SubscribeMessage('observable') observable(@MessageBody() data: Data): unknown {
    return from([1, 2, 3]).pipe(concatMap(() => after(data).then(() => item(data))));
  }
  @SubscribeMessage('empty') empty(): unknown {
    return of();
  }
  @SubscribeMessage('broken') broken(): unknown {
    return throwError(() => new WsException('broken'));
  }
  @SubscribeMessage('throws') throws(): never {
    throw new WsException('bad');
  }
  @SubscribeMessage('throws an object') throwsObject(): never {
    throw new WsException({ own: true });
  }
  @SubscribeMessage('rejects') async rejects(@MessageBody() data: Data): Promise<never> {
    await after(data);
    throw new Error('bad');
  }
  @UseFilters(OwnWords) @SubscribeMessage('filtered') filtered(): never {
    throw new Error('bad');
  }
  @UseFilters(LateWords) @SubscribeMessage('filtered late') filteredLate(): never {
    throw new Error('bad');
  }
  @UseGuards(Never) @SubscribeMessage('guarded') guarded(): unknown {
    return 'never';
  }
  @UseGuards(NotYet) @SubscribeMessage('guarded late') guardedLate(): unknown {
    return 'never';
  }
  @SubscribeMessage('piped') piped(@MessageBody(new Refuse()) _data: unknown): unknown {
    return 'never';
  }
  @SubscribeMessage('piped late') pipedLate(@MessageBody(new Later()) data: Data): unknown {
    return said(data);
  }
  @UseInterceptors(Pass) @SubscribeMessage('intercepted') intercepted(
    @MessageBody() data: Data,
  ): unknown {
    return said(data);
  }
  @UseInterceptors(Pass)
  @SubscribeMessage('intercepted stream')
  async *interceptedStream(@MessageBody() data: Data): AsyncGenerator {
    yield item(data);
    await after(data);
    yield item(data);
  }
  @SubscribeMessage('circle') circle(): unknown {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    return circle;
  }
  @SubscribeMessage('stream') async *stream(@MessageBody() data: Data): AsyncGenerator {
    for (let count = 0; count < 3; count += 1) {
      await after(data);
      yield item(data);
    }
  }
  @SubscribeMessage('stream fails') async *streamFails(@MessageBody() data: Data): AsyncGenerator {
    yield item(data);
    await after(data);
    throw new WsException('broken');
  }
  @SubscribeMessage('stream of a circle') async *circles(): AsyncGenerator {
    yield this.circle();
  }
  /** Ends when it is cancelled. */
  @SubscribeMessage('waits') async waits(
    @MessageBody() data: Data,
    @MessageSignal() signal: AbortSignal,
  ): Promise<unknown> {
    await aborted(signal);
    return said(data);
  }
  @SubscribeMessage('stream waits')
  async *streamWaits(
    @MessageBody() data: Data,
    @MessageSignal() signal: AbortSignal,
  ): AsyncGenerator {
    yield item(data);
    await aborted(signal);
  }
  /** Does not end when it is cancelled. */
  @SubscribeMessage('stream is deaf') async *deaf(@MessageBody() data: Data): AsyncGenerator {
    yield item(data);
    await new Promise((resolve) => deaf.push(resolve));
  }
  @SubscribeMessage('asks') async asks(
    @CurrentManager() manager: WebSocketManager,
    @MessageBody() data: Data,
  ): Promise<unknown> {
    await manager.ask('sure?', null, { timeoutMs: 600_000 });
    return said(data);
  }
  @SubscribeMessage('bye') bye(@CurrentManager() manager: WebSocketManager): void {
    void manager.close();
  }
}
let deaf: ((value: unknown) => void)[] = [];

@IsolatedGateway({ path: '/one' })
class Second {
  @SubscribeMessage('both') async both(@MessageBody() data: Data): Promise<unknown> {
    await after(data);
    return said(data);
  }
}
@IsolatedGateway({ path: '/one' })
class Third {
  @SubscribeMessage('both') both(@MessageBody() data: Data): unknown {
    return said(data);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}

const EVENTS = (
  'value,bare,promise,nothing,later nothing,observable,empty,broken,throws,throws an object,rejects,filtered,' +
  'filtered late,guarded,guarded late,piped,piped late,intercepted,intercepted stream,circle,stream,stream fails,' +
  'stream of a circle,waits,stream waits,stream is deaf,asks,both,unknown,other thread,not JSON'
).split(',');

function nothingLeft({ app }: TestApp): Promise<void> {
  const factory = app.get(WebSocketManagerFactory);
  return eventually(() => {
    expect(factory.getStats().currentState).toMatchObject({ activeManagers: 0, openStreams: 0 });
    expect(factory.bookkeeping.asks.asked).toBe(0);
  });
}

type Id = string | number;
type Step =
  | { do: 'send'; event: string; id: Id; turns: number }
  | { do: 'cancel'; which: number }
  | { do: 'pause'; turns: number };

const id: fc.Arbitrary<Id> = fc.oneof(
  fc.nat(),
  fc.constantFrom<Id>(0, '0', 1, '1', '', -1, 1.5, '__proto__', '"', '\\', '}', 'ü', 'null'),
  fc.string({ maxLength: 8 }),
  fc.string({ minLength: 256, maxLength: 256 }),
);
const send = fc.record({
  do: fc.constant('send' as const),
  event: fc.constantFrom(...EVENTS),
  id,
  turns: fc.nat(4),
});
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: send },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), which: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), turns: fc.nat(6) }) },
  ),
  { minLength: 1, maxLength: 60 },
);

const check = (property: (taken: Step[]) => Promise<void>): Promise<void> =>
  fc.assert(fc.asyncProperty(steps, property), { seed: SEED, numRuns: RUNS, endOnFailure: true });

interface Sent {
  readonly id: Id;
  readonly nonce: number;
  readonly event: string;
}
type Received = TestClient['messages'][number];

const key = (of: unknown): string => JSON.stringify(of);
const idOf = ({ id: top, data }: Received): unknown =>
  top ?? (data as { id?: unknown } | undefined)?.id;

/** One client, the messages with ids that it has sent, and the answers that it has got. */
class Conversation {
  readonly sent = new Map<string, Sent>();
  #answered = 0;

  constructor(readonly client: TestClient) {}

  async take(step: Step): Promise<void> {
    if (step.do === 'pause') for (let passed = 0; passed < step.turns; passed += 1) await turn();
    if (step.do === 'send') this.#send(step);
    if (step.do === 'cancel') {
      const known = [...this.sent.values()];
      const cancelled = known[step.which % Math.max(1, known.length)];
      if (cancelled) this.client.send('cancel', undefined, cancelled.id);
    }
    this.answerQuestions();
  }

  sendRaw(event: string, messageId: Id, padding?: string): void {
    this.#send({ event, id: messageId, turns: 0 }, padding);
  }

  /** The events of messages that do not have exactly one terminal answer, with the number of answers. */
  unanswered(of: Iterable<Sent> = this.sent.values()): [string, number][] {
    const answers = [...of].map((sent): [string, number] => [
      sent.event,
      this.answersTo(sent).length,
    ]);
    return answers.filter(([, count]) => count !== 1);
  }

  cancelAll(): void {
    for (const { id: messageId } of this.sent.values()) {
      this.client.send('cancel', undefined, messageId);
    }
  }

  answerQuestions(): void {
    for (const message of this.client.messages.slice(this.#answered)) {
      const { ask } = message as { ask?: unknown };
      if (ask !== undefined) this.client.socket.send(JSON.stringify({ event: 'answer', ask }));
    }
    this.#answered = this.client.messages.length;
  }

  /** The terminal answers to a message. */
  answersTo({ id: messageId }: Sent): Received[] {
    const wanted = key(messageId);
    return this.#terminal().filter((message) => key(idOf(message)) === wanted);
  }

  /** No message has two answers, and no answer has an id that was not sent, or the content of another message. */
  assertSound(): void {
    const seen = new Set<string>();
    for (const message of this.client.messages) {
      const of = idOf(message);
      if (of === undefined) continue;
      const sent = this.sent.get(key(of));
      expect(sent).toBeDefined();
      const { nonce } = (message.data ?? {}) as { nonce?: number };
      if (nonce !== undefined) expect(nonce).toBe(sent!.nonce);
      // After the terminal answer, no item follows either.
      expect([sent!.event, seen.has(key(of))]).toEqual([sent!.event, false]);
      if (message.event !== 'item') seen.add(key(of));
    }
  }

  #terminal(): Received[] {
    return this.client.messages.filter(
      (message) => idOf(message) !== undefined && message.event !== 'item',
    );
  }

  #send(
    { event, id: messageId, turns }: { event: string; id: Id; turns: number },
    padding?: string,
  ): void {
    // Each id once: an answer could belong to either of two messages.
    if (this.sent.has(key(messageId))) return;
    const nonce = this.sent.size;
    this.sent.set(key(messageId), { id: messageId, nonce, event });
    if (event === 'not JSON') {
      this.client.socket.send(`{"event":"value","id":${key(messageId)},}`);
      return;
    }
    const isStranger = event === 'other thread';
    const data = { nonce, turns, padding, ...(isStranger && { threadId: 'coffee' }) };
    this.client.send(isStranger ? 'value' : event, data, messageId);
  }
}

describe.each<[string, WebSocketIsolationOptions]>([
  ['one handler at a time', { inbound: { concurrency: 1, maxStreams: 2 } }],
  ['eight handlers at a time', { inbound: { maxStreams: 4, maxAsks: 3 } }],
])(`a message with an id, with %s (seed ${SEED})`, (_name, options) => {
  let app: TestApp;
  beforeAll(async () => {
    const providers = [EveryEnding, Second, Third];
    const cleanup = { disposeTimeoutMs: 200 };
    app = await startApp({ providers, options: { ...options, cleanup } });
  });
  afterAll(async () => {
    for (const end of deaf) end(undefined);
    deaf = [];
    await nothingLeft(app);
    await app.close();
  });

  async function converse(taken: readonly Step[]): Promise<Conversation> {
    const client = await app.connect('/one?user=ada&thread=tea');
    const conversation = new Conversation(client);
    for (const step of taken) await conversation.take(step);
    return conversation;
  }
  it('gets exactly one terminal answer while the connection is open', () =>
    check(async (taken) => {
      const conversation = await converse(taken);
      await eventually(() => {
        conversation.answerQuestions();
        conversation.cancelAll();
        expect(conversation.unanswered()).toEqual([]);
      });
      // A later answer shows that nothing follows.
      conversation.client.socket.send('{"event":"value","data":{},"id":"the last one"}');
      conversation.sent.set(key('the last one'), { id: 'the last one', nonce: -1, event: 'value' });
      await eventually(() =>
        expect(
          conversation.client.messages.some((message) => idOf(message) === 'the last one'),
        ).toBe(true),
      );
      conversation.assertSound();
      await conversation.client.close();
    }));

  it('gets exactly one also when the server closes the connection', () =>
    check(async (taken) => {
      const conversation = await converse(taken);
      const before = [...conversation.sent.values()];
      // The handler may have to wait for its turn, so the others are cancelled again and again.
      conversation.sendRaw('bye', 'bye');
      for (let count = 0; count < 3; count += 1) conversation.sendRaw('value', `after ${count}`);
      await eventually(() => {
        conversation.answerQuestions();
        if (conversation.client.closeCode === undefined) conversation.cancelAll();
        expect(conversation.client.closeCode).toBe(1000);
      });
      expect(conversation.unanswered(before)).toEqual([]);
      conversation.assertSound();
    }));

  // oxlint-disable-next-line jest/expect-expect -- the property has them
  it('gets no second one when the client leaves without a word', () =>
    check(async (taken) => {
      const conversation = await converse(taken);
      conversation.client.terminate();
      await conversation.client.closed();
      conversation.assertSound();
    }));
});

/**
 * Whether a handler waits for a frame of the client. It would wait for ever where the messages behind it pause the
 * reading.
 */
function needsReading(step: Step): boolean {
  return step.do === 'cancel' || (step.do === 'send' && ['waits', 'asks'].includes(step.event));
}

describe.each<[string, WebSocketIsolationOptions['inbound'], string, number]>([
  ['too many wait', { concurrency: 1, maxPendingBytes: 1_024 }, 'TOO_MANY_PENDING', 1008],
  ['too many come', { rate: { messages: 12, perMs: 3_600_000 } }, 'RATE_LIMITED', 4430],
])(`messages with ids, where %s (seed ${SEED})`, (_name, inbound, code, closeCode) => {
  it('get exactly one terminal answer up to the one that closes the connection', async () => {
    const providers = [EveryEnding, Second, Third];
    const options = { ...(inbound && { inbound }), cleanup: { disposeTimeoutMs: 200 } };
    const app = await startApp({ providers, options });
    let refused = 0;
    const property = async (taken: Step[]): Promise<void> => {
      // Another user each time: a user's rate outlives a connection.
      refused += 1;
      const conversation = new Conversation(await app.connect(`/one?user=u${refused}&thread=tea`));
      for (const step of taken) if (!needsReading(step)) await conversation.take(step);
      await eventually(() => {
        if (conversation.client.closeCode !== undefined) return;
        conversation.answerQuestions();
        conversation.cancelAll();
        expect(conversation.unanswered()).toEqual([]);
      });
      // Reading pauses long before the bound, so only a message that exceeds it alone is too many.
      conversation.sendRaw('waits', 'first');
      conversation.sendRaw('waits', 'long', 'x'.repeat(2_048));
      for (let count = 0; count < 12; count += 1) conversation.sendRaw('value', `more ${count}`);
      expect(await conversation.client.closed()).toBe(closeCode);
      const all = [...conversation.sent.values()];
      const last = all.findIndex((sent) =>
        conversation
          .answersTo(sent)
          .some(({ data }) => (data as { code?: string } | undefined)?.code === code),
      );
      // A `cancel` that exceeds the rate has no answer of its own: its id is that of another message.
      expect(last >= 0 || code === 'RATE_LIMITED').toBe(true);
      expect(conversation.unanswered(all.slice(0, last + 1))).toEqual([]);
      conversation.assertSound();
    };
    const parameters = { seed: SEED, numRuns: RUNS, endOnFailure: true };
    await fc.assert(fc.asyncProperty(steps, property), parameters);
    for (const end of deaf) end(undefined);
    deaf = [];
    await nothingLeft(app);
    await app.close();
  });
});
