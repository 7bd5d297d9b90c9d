import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ConnectionIdentity, WebSocketEmitter } from 'nestjs-websocket-isolation';
import type { StateChange } from 'nestjs-websocket-isolation/client';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { PAGE_PATIENCE_MS, startBrowser } from '../support/browser.js';
import { ClientScripts } from '../support/client-scripts.js';
import { DrivenFirefox } from '../support/driven-firefox.js';
import { LineGateway } from '../support/line-gateway.js';
import { documentedReactions } from '../support/reactions.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { startApp, type TestApp } from '../support/test-app.js';

function authenticate(request: {
  url?: string;
  headers: NodeJS.Dict<string | string[]>;
}): ConnectionIdentity | null {
  const query = new URL(request.url ?? '/', 'http://localhost').searchParams;
  const isNew = String(request.headers['sec-websocket-protocol']).includes('new-token');
  const userId = query.get('user') ?? (isNew ? 'ada' : undefined);
  return userId ? { userId, threadId: query.get('thread') ?? 'tea' } : null;
}

/** A page of a browser that runs code of the tests. */
interface TestPage extends AsyncDisposable {
  /** Runs the body of an async function. */
  evaluate<T>(body: string): Promise<T>;
}

async function chromiumPage(url: string): Promise<TestPage> {
  const browser = await startBrowser();
  const page = await browser.newPage();
  page.setDefaultTimeout(PAGE_PATIENCE_MS);
  await page.goto(url);
  return {
    evaluate: (body) => page.evaluate(`(async () => { ${body} })()`),
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

const BROWSERS: [string, (url: string) => Promise<TestPage>][] = [
  ['Chromium', chromiumPage],
  ['Firefox', (url) => DrivenFirefox.open((script) => `${url}driven?script=${script}`)],
];

let server: TestApp;
/** Between the page and the server. */
let proxy: TcpProxy;
let page: TestPage;

/** Gives the page a function that connects and writes down what the client tells. */
async function prepare(): Promise<void> {
  await page.evaluate(`
    // Beside the page, not beside the script that runs this.
    const { connect } = await import(new URL('/client/index.js', location.href).href);
    globalThis.open_ = (url, options) => {
      const client = connect(url, { firstDelayMs: 20, longestDelayMs: 160, ...options });
      const one = { client, states: [], messages: [] };
      client.onState((change) => one.states.push(change));
      for (const event of ['echo', 'said']) client.on(event, (data) => one.messages.push(data));
      one.until = async (state, times = 1) => {
        const found = () => one.states.filter((change) => change.state === state);
        while (found().length < times) await new Promise((resolve) => setTimeout(resolve, 5));
        return found()[times - 1];
      };
      return one;
    };
  `);
}

/** Runs the body of an async function in the page. */
function inPage<T>(body: string): Promise<T> {
  return page.evaluate(body);
}

const documented = documentedReactions();

describe.each(BROWSERS)('the client in %s', (_name, openPage) => {
  beforeAll(async () => {
    server = await startApp({
      controllers: [ClientScripts],
      providers: [LineGateway],
      options: {
        authenticator: authenticate as never,
        handshake: { rejectWith: 'close' },
        limits: { maxManagersPerUser: 50 },
        resume: {},
        topics: { authorizer: (_context, topic) => topic.startsWith('room:'), history: {} },
      },
    });
    proxy = await TcpProxy.start(server.port);
    page = await openPage(`http://127.0.0.1:${proxy.port}/`);
    await prepare();
  });
  afterAll(async () => {
    await page?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await server?.close();
  });

  it.each(documented)(
    'does after $code what the table says: $reaction',
    async ({ code, reaction }) => {
      const states = await inPage<StateChange[]>(`
      let tokens = 0;
      const token = () => 'new-token-' + (tokens += 1);
      const { client, states, until } = open_('/line', { token });
      await until('open');
      client.send('close', { code: ${code}, reason: '{"retryAfterMs":30}' });
      await until('${reaction === 'stop' ? 'closed' : 'waiting'}');
      if (${reaction === 'when needed'}) client.send('echo', 'something to say');
      if (${reaction !== 'stop'}) await until('open', 2);
      client.close();
      return states;
    `);
      const [, end, ...rest] = states;
      expect(end).toMatchObject({ code, state: reaction === 'stop' ? 'closed' : 'waiting' });
      expect(rest.map(({ state }) => state)).toEqual(
        reaction === 'stop' ? [] : ['connecting', 'open', 'closed'],
      );
      // By itself, or only when there is a message to send.
      expect('retryInMs' in end!).toBe(reaction !== 'stop' && reaction !== 'when needed');
    },
  );

  it('sends its token as a subprotocol, and signs in anew when it is refused', async () => {
    const { states, who } = await inPage<{ states: StateChange[]; who: string }>(`
      const token = (reason) => (reason === 'unauthorized' ? 'new-token' : 'old');
      const { client, states } = open_('/line', { token });
      const who = await client.request('who');
      client.close();
      return { states, who };
    `);
    expect(who).toBe('ada');
    expect(states[1]).toMatchObject({ state: 'waiting', code: 4401 });
  });

  it('has requests, streams, answers and topics', async () => {
    const all = await inPage<unknown[]>(`
      const { client } = open_('/line?user=ada');
      client.answer('confirm', (data) => data + '!');
      const numbers = [];
      for await (const { number } of client.stream('count', { to: 1e9 })) {
        if (numbers.push(number) === 30) break;
      }
      const said = new Promise((resolve) => {
        const onSubscribed = () => client.send('say', { topic: 'room:1', text: 'hello' });
        client.subscribe('room:1', ({ data }) => resolve(data), { onSubscribed });
      });
      const all = [await client.request('echo', 1), await client.request('ask-me', 'sure'), numbers.length, await said];
      client.close();
      return all;
    `);
    expect(all).toEqual([1, 'sure!', 30, 'hello']);
  });

  // The events that browsers send when a laptop wakes or a tab is thawed.
  it.each(['visibilitychange', 'resume'])(
    'finds out after %s that its line has died, and gets what it has missed',
    async (event) => {
      const emitter = server.app.get(WebSocketEmitter);
      await inPage(`
        globalThis.one = open_('/line?user=eve&thread=${event}', { probeTimeoutMs: 100 });
        await one.until('open');
        await one.client.request('nothing');
      `);
      // Nothing tells either side that the line is dead.
      proxy.freeze();
      emitter.toThread('eve', event).send('said', 'meanwhile');
      const { states, messages } = await inPage<{ states: StateChange[]; messages: unknown[] }>(`
        document.dispatchEvent(new Event('${event}'));
        await one.until('open', 2);
        while (one.messages.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        one.client.close();
        return { states: one.states, messages: one.messages };
      `);
      expect(states[1]).toMatchObject({ code: 1006, reason: 'no answer within 100 ms' });
      expect(messages).toEqual(['meanwhile']);
      proxy.cut();
    },
  );

  it.each(['online', 'pageshow'])('does not wait any longer after %s', async (event) => {
    const states = await inPage<StateChange[]>(`
      const { client, states, until } = open_('/line?user=ada');
      await until('open');
      client.send('close', { code: 4440 });
      await until('waiting');
      window.dispatchEvent(new Event('${event}'));
      await until('open', 2);
      client.close();
      return states;
    `);
    expect(states[1]).toEqual({ state: 'waiting', code: 4440, reason: '' });
    expect(states[2]!.retryInMs).toBeLessThan(20);
  });

  it('lets go of its connection when the page is put away, and opens it again when the page is back', async () => {
    const states = await inPage<StateChange[]>(`
      const { client, states, until } = open_('/line?user=ada');
      await until('open');
      window.dispatchEvent(new Event('pagehide'));
      await until('waiting');
      window.dispatchEvent(new Event('pageshow'));
      await until('open', 2);
      client.close();
      window.dispatchEvent(new Event('pageshow'));
      return states;
    `);
    expect(states.map(({ state }) => state)).toEqual([
      'open',
      'waiting',
      // Once more, with the time until the attempt.
      'waiting',
      'connecting',
      'open',
      'closed',
    ]);
  });

  it('leaves nothing behind on the server', async () => {
    await page[Symbol.asyncDispose]();
    await eventually(async () => {
      const { WebSocketManagerFactory } = await import('nestjs-websocket-isolation');
      const factory = server.app.get(WebSocketManagerFactory);
      expect(factory.getStats().factoryMetrics.managersActive).toBe(0);
    });
  });
});
