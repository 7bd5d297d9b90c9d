import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Inject, Scope } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapPropagator,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import {
  CurrentManager,
  IsolatedGateway,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { WebSocketIsolationTracingModule } from 'nestjs-websocket-isolation/otel';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { CleanupService } from '../../src/cleanup/cleanup.service.js';
import type { OpenTelemetryTracer } from '../../src/otel/open-telemetry.tracer.js';
import { Tracing } from '../../src/monitoring/tracing.js';
import { FakeClock } from '../../src/testing/fake-clock.js';
import { queryAuthenticator, startApp, type TestApp } from '../support/test-app.js';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT_ID = '00f067aa0ba902b7';

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

/** A propagator like an SDK's: it reads the `traceparent` of the client. */
const propagator: TextMapPropagator = {
  inject: () => undefined,
  fields: () => ['traceparent'],
  extract: (from, carrier, getter) => {
    const [, traceId, spanId] = String(getter.get(carrier, 'traceparent') ?? '').split('-');
    if (!traceId || !spanId) return from;
    const remote = { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true };
    return trace.setSpanContext(from, remote);
  },
};

/** Stands for the app's own instrumentation: creates a span at each call. */
function work(name: string): void {
  trace.getTracer('app').startSpan(name).end();
}

@IsolatedGateway({ path: '/traced' })
class TracedGateway {
  async handleConnection(): Promise<void> {
    await Promise.resolve();
    work('load');
  }

  @SubscribeMessage('say')
  async say(): Promise<unknown> {
    await Promise.resolve();
    work('query');
    return { event: 'said' };
  }

  @SubscribeMessage('stream')
  async *stream(): AsyncGenerator {
    yield { event: 'item' };
    work('generate');
    yield { event: 'item' };
  }

  @SubscribeMessage('confirm')
  async confirm(@CurrentManager() manager: WebSocketManager): Promise<unknown> {
    return { event: 'confirmed', data: await manager.ask('sure?') };
  }

  @SubscribeMessage('fail')
  fail(): never {
    throw new TypeError('the user ada must not be traced');
  }
}

let beginScope: (() => void) | undefined;
let endScope: (() => void) | undefined;

const slowProvider = {
  provide: 'SLOW',
  scope: Scope.REQUEST,
  useFactory: async (): Promise<string> => {
    const ended = new Promise<void>((resolve) => (endScope = resolve));
    beginScope?.();
    await ended;
    return 'made';
  },
};

@IsolatedGateway({ path: '/slow' })
class SlowGateway {
  constructor(@Inject('SLOW') readonly made: string) {}
}

/** What the conventions of OpenTelemetry want to know of an HTTP request. */
const HTTP = {
  'http.request.method': 'GET',
  'http.route': '/traced',
  'url.path': '/traced',
  'url.scheme': 'http',
  'network.protocol.name': 'http',
  'network.protocol.version': '1.1',
  'client.address': '127.0.0.0/24',
};

let testApp: TestApp;
let clock: FakeClock;

async function start(includeIdentity?: boolean): Promise<void> {
  clock = new FakeClock();
  const tracing = includeIdentity === undefined ? {} : { includeIdentity };
  testApp = await startApp({
    providers: [TracedGateway, SlowGateway, slowProvider],
    imports: [WebSocketIsolationTracingModule.forRoot(tracing)],
    options: {
      clock,
      topics: {
        authorizer: async (_context, topic) => {
          await Promise.resolve();
          work('roles');
          return topic === 'tea';
        },
      },
      authenticator: (request) => {
        work('verify');
        return queryAuthenticator(request);
      },
    },
  });
}

function spans(name: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.name === name);
}

function spanOf(name: string): ReadableSpan {
  const [span] = spans(name);
  if (!span) throw new Error(`there is no span "${name}"`);
  return span;
}

const idOf = (span: ReadableSpan | Span): string => span.spanContext().spanId;

beforeAll(() => {
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(propagator);
});

afterEach(async () => {
  await testApp.close();
  exporter.reset();
});

afterAll(async () => {
  await provider.shutdown();
  trace.disable();
  context.disable();
  propagation.disable();
});

describe('an exporter of OpenTelemetry', () => {
  it('gets spans of handshake, connect, message and dispose, and the spans of the app inside them', async () => {
    await start();
    const client = await TestClient.open(testApp.url('/traced?user=ada&thread=tea'), {
      headers: { traceparent: `00-${TRACE_ID}-${PARENT_ID}-01` },
    });
    await client.ask('say');
    await client.ask('fail');
    await client.close();
    await eventually(() => void spanOf('websocket dispose'));

    const handshake = spanOf('websocket handshake /traced');
    expect(handshake.kind).toBe(SpanKind.SERVER);
    expect(handshake.spanContext().traceId).toBe(TRACE_ID);
    expect(handshake.parentSpanContext?.spanId).toBe(PARENT_ID);
    expect(spanOf('verify').parentSpanContext?.spanId).toBe(idOf(handshake));

    expect(handshake.attributes).toMatchObject({ ...HTTP, 'http.response.status_code': 101 });

    const connect = spanOf('websocket connect /traced');
    expect(connect.parentSpanContext?.spanId).toBe(idOf(handshake));
    expect(spanOf('load').parentSpanContext?.spanId).toBe(idOf(connect));

    const say = spanOf('websocket message say');
    expect(say.parentSpanContext).toBeUndefined();
    expect(say.links.map((link) => link.context.spanId)).toEqual([idOf(handshake)]);
    expect(say.attributes).toMatchObject({
      'ws_isolation.path': '/traced',
      'ws_isolation.event': 'say',
    });
    expect(spanOf('query').parentSpanContext?.spanId).toBe(idOf(say));

    const fail = spanOf('websocket message fail');
    expect(fail.status).toEqual({ code: SpanStatusCode.ERROR });
    expect(fail.attributes).toMatchObject({ 'error.type': 'TypeError' });

    const dispose = spanOf('websocket dispose');
    expect(dispose.links.map((link) => link.context.spanId)).toEqual([idOf(handshake)]);
    expect(dispose.attributes).toMatchObject({
      'ws_isolation.close.code': 1000,
      'ws_isolation.close.initiator': 'client',
    });
  });

  it('gets a span of each stream and of each question, inside the message', async () => {
    await start();
    const client = await TestClient.open(testApp.url('/traced?user=ada'));
    client.send('stream', undefined, 1);
    await client.next('complete');
    const stream = spanOf('websocket stream stream');
    const opened = spanOf('websocket message stream');
    expect(stream.parentSpanContext?.spanId).toBe(idOf(opened));
    expect(stream.attributes).toMatchObject({
      'ws_isolation.path': '/traced',
      'ws_isolation.stream.items': 2,
      'ws_isolation.stream.outcome': 'completed',
    });
    expect(spanOf('generate').parentSpanContext?.spanId).toBe(idOf(stream));

    client.send('confirm');
    const { ask } = (await client.next('sure?')) as unknown as { ask: string };
    client.socket.send(JSON.stringify({ event: 'answer', ask, data: true }));
    await client.next('confirmed');
    const confirm = spanOf('websocket message confirm');
    const asked = spanOf('websocket ask sure?');
    expect(asked.kind).toBe(SpanKind.CLIENT);
    expect(asked.parentSpanContext?.spanId).toBe(idOf(confirm));
    client.send('confirm');
    await client.next('sure?');
    client.terminate();
    await eventually(() => expect(spans('websocket ask sure?')).toHaveLength(2));
    expect(spans('websocket ask sure?')[1]!.attributes).toMatchObject({
      'error.type': 'ManagerClosedError',
    });
  });

  it('gets a span of each message of the emitter, in the trace of the code that sends it', async () => {
    await start();
    const emitter = testApp.app.get(WebSocketEmitter);
    const client = await testApp.connect('/traced?user=ada');
    const other = await testApp.connect('/traced?user=bea');
    await client.subscribe('tea');
    await other.subscribe('tea');
    const job = trace.getTracer('app').startSpan('job');
    context.with(trace.setSpan(context.active(), job), () => {
      emitter.toTopic('tea').except({ userId: 'bea' }).send('poured', 1);
    });
    await emitter.toUser('ada').sendAsync('poured', 2);
    emitter.toThread('ada', 'none').sendCritical('poured', 3);
    emitter.toAll().sendBinary(new Uint8Array(1));
    expect(() => emitter.toAll().sendCritical('poured', 1n)).toThrow('written as JSON');
    const [toTopic, toUser, toThread, toAll] = spans('websocket send poured');
    expect(toTopic!.kind).toBe(SpanKind.PRODUCER);
    expect(toTopic!.parentSpanContext?.spanId).toBe(idOf(job));
    expect(toTopic!.attributes).toEqual({
      'ws_isolation.event': 'poured',
      'ws_isolation.audience': 'topic',
      'ws_isolation.send.delivered': 1,
      'ws_isolation.send.dropped': 0,
    });
    expect(toUser!.attributes).toMatchObject({
      'ws_isolation.audience': 'user',
      'ws_isolation.send.delivered': 1,
    });
    expect(toThread!.attributes).toMatchObject({ 'ws_isolation.send.delivered': 0 });
    expect(toAll!.attributes).toMatchObject({ 'error.type': 'SendFailedError' });
    expect(spanOf('websocket send (binary)').attributes).toMatchObject({
      'ws_isolation.audience': 'all',
      'ws_isolation.send.delivered': 2,
    });
    await eventually(() => {
      expect(client.messages.filter(({ event }) => event === 'poured')).toHaveLength(2);
    });
    await client.close();
    await other.close();
  });

  it('gets a span of each subscription up to its reply, and the spans of the authorizer inside it', async () => {
    await start();
    const client = await testApp.connect('/traced?user=ada');
    await client.subscribe('tea');
    await expect(client.subscribe('a secret')).rejects.toThrow('TOPIC_FORBIDDEN');
    await eventually(() => expect(spans('websocket message subscribe')).toHaveLength(2));
    const [first, second] = spans('websocket message subscribe');
    const parents = spans('roles').map(({ parentSpanContext }) => parentSpanContext?.spanId);
    expect(parents).toEqual([idOf(first!), idOf(second!)]);
    await client.close();
  });

  it('keeps no state of ended connections, even if they never had a socket', async () => {
    await start();
    const tracer = testApp.app.get(Tracing).given as OpenTelemetryTracer;
    const client = await TestClient.open(testApp.url('/traced?user=ada'));
    expect(tracer.remembered).toBe(1);
    const scopeBegun = new Promise<void>((resolve) => (beginScope = resolve));
    const early = TestClient.open(testApp.url('/slow?user=early'));
    await scopeBegun;
    await testApp.app.get(WebSocketManagerFactory).cleanupUser('early');
    endScope!();
    expect(await (await early).closed()).toBe(1001);
    expect(spans('websocket handshake /slow')).toHaveLength(1);
    await client.close();
    await eventually(() => expect(tracer.remembered).toBe(0));
  });

  it('never gets users or threads, unless the app enables it', async () => {
    await start();
    const client = await TestClient.open(testApp.url('/traced?user=ada&thread=tea'));
    await client.ask('fail');
    await client.close();
    await eventually(() => void spanOf('websocket dispose'));
    const seen = exporter
      .getFinishedSpans()
      .map(({ name, attributes, status, events }) =>
        JSON.stringify({ name, attributes, status, events }),
      );
    expect(seen.filter((text) => /\bada\b|\btea\b/.test(text))).toEqual([]);
    expect(seen.filter((text) => text.includes('conn_')).length).toBeGreaterThan(3);
  });

  it('gets users and threads with includeIdentity', async () => {
    await start(true);
    const client = await TestClient.open(testApp.url('/traced?user=ada&thread=tea'));
    await client.ask('say');
    await client.close();
    await eventually(() => void spanOf('websocket dispose'));
    for (const name of ['handshake /traced', 'connect /traced', 'message say', 'dispose']) {
      expect(spanOf(`websocket ${name}`).attributes).toMatchObject({
        'user.id': 'ada',
        'ws_isolation.thread.id': 'tea',
      });
    }
  });

  it('gets spans of refusals and clean-ups', async () => {
    await start();
    await expect(TestClient.open(testApp.url('/traced'))).rejects.toThrow('401');
    expect(spanOf('websocket handshake /traced').attributes).toEqual({
      ...HTTP,
      'ws_isolation.path': '/traced',
      'ws_isolation.refusal.reason': 'unauthorized',
      'http.response.status_code': 401,
    });
    const client = await TestClient.open(testApp.url('/traced?user=ada'));
    clock.jump(3_600_000);
    const cleanup = testApp.app.get(CleanupService, { strict: false });
    await cleanup.runProactive();
    await client.closed();
    await cleanup.runProactive();
    // The second clean-up removed nothing, so it has no span.
    expect(spans('websocket cleanup proactive').map(({ attributes }) => attributes)).toEqual([
      {
        'ws_isolation.cleanup.kind': 'proactive',
        'ws_isolation.cleanup.removed': 1,
        'ws_isolation.cleanup.abandoned': 0,
      },
    ]);
  });
});

describe('an app without tracing', () => {
  it('has no tracer, and an app with tracing has none after its end', async () => {
    testApp = await startApp({ providers: [TracedGateway] });
    expect(testApp.app.get(Tracing).tracer).toBeUndefined();
    const client = await TestClient.open(testApp.url('/traced?user=ada'));
    await client.ask('say');
    await client.close();
    await eventually(() => {
      const { factoryMetrics } = testApp.app.get(WebSocketManagerFactory).getStats();
      expect(factoryMetrics.managersActive).toBe(0);
    });
    expect(exporter.getFinishedSpans().filter(({ name }) => name.startsWith('websocket'))).toEqual(
      [],
    );
    await testApp.close();
    await start();
    const tracing = testApp.app.get(Tracing);
    expect(tracing.tracer).toBeDefined();
    await testApp.close();
    expect(tracing.tracer).toBeUndefined();
  });
});
