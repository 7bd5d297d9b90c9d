import type { IncomingMessage } from 'node:http';

import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { type ClientOptions, WebSocket } from 'ws';

import { freePort } from '../run-scenario.js';
import type { Scenario, Setting } from '../scenario.js';
import type { ScriptedClient, Session } from '../session.js';

type Options = Readonly<Record<string, unknown>>;
type Script = (session: Session) => Promise<void>;

/** Returns a gateway that records its hooks and replies to messages. */
function gatewayWith({ gateway, note }: Setting, options: Options, port?: number) {
  @gateway(...(port === undefined ? [options] : [port, options]))
  class Gateway {
    handleConnection(): void {
      note('connect');
    }
    handleDisconnect(_client: unknown, code?: unknown): void {
      note(`disconnect ${typeof code === 'number' ? code : 'without a code'}`);
    }
    @SubscribeMessage('hi') hi(@MessageBody() data: unknown): unknown {
      return { event: 'hi', data };
    }
    @SubscribeMessage('length') length(@MessageBody() text: string): unknown {
      return { event: 'length', data: text.length };
    }
  }
  return { providers: [Gateway] };
}

const talk: Script = async (session) => {
  const ada = await session.connect('ada');
  await ada.send('hi', 1);
  await ada.close(4000);
};

function scenario(
  title: string,
  options: Options | ((setting: Setting) => Options),
  script: Script = talk,
): Scenario {
  return {
    title: `option: ${title}`,
    app: (setting) =>
      gatewayWith(setting, typeof options === 'function' ? options(setting) : options),
    script,
  };
}

/** A script that offers each list of subprotocols in turn. */
const offering =
  (...lists: readonly (readonly string[])[]): Script =>
  async (session) => {
    for (const [index, protocols] of lists.entries()) {
      const name = `user${index} offering ${protocols.join(' and ') || 'nothing'}`;
      const client = await session.connect(name, '/', {}, protocols);
      await client.send('hi');
      await client.close(4000);
    }
  };

const subprotocols: Scenario[] = [
  scenario('no handleProtocols', {}, offering([], ['chat'], ['chat', 'other'])),
  scenario(
    'no handleProtocols, a token first',
    {},
    offering(['eyJhbGciOi.payload', 'chat'], ['chat', 'eyJhbGciOi.payload']),
  ),
  scenario(
    'handleProtocols that chooses',
    { handleProtocols: (offered: Set<string>) => [...offered].at(-1) ?? false },
    offering([], ['chat'], ['chat', 'other']),
  ),
  scenario(
    'handleProtocols that refuses all',
    { handleProtocols: () => false },
    offering([], ['chat']),
  ),
  scenario(
    'handleProtocols that reads the request',
    ({ note }) => ({
      handleProtocols(offered: Set<string>, { url }: IncomingMessage) {
        note(`asked at ${url}`);
        return [...offered][0];
      },
    }),
    offering(['chat']),
  ),
  scenario(
    'handleProtocols that throws',
    {
      handleProtocols() {
        throw new Error('planned');
      },
    },
    offering(['chat']),
  ),
];

type Answer = (isVerified: boolean, status?: number, text?: string, headers?: object) => void;

const verifications: Record<string, unknown> = {
  'that says yes': () => true,
  'that says no': () => false,
  'that returns nothing': () => undefined,
  'that calls back with yes': (_info: object, answer: Answer) => answer(true),
  'that calls back with no': (_info: object, answer: Answer) => answer(false),
  'that calls back with a status': (_info: object, answer: Answer) =>
    answer(false, 418, 'teapot', { 'x-tea': 'green' }),
  'that calls back later': (_info: object, answer: Answer) => void setImmediate(answer, true),
  'that returns a promise of false': async () => false,
  'that throws': () => {
    throw new Error('planned');
  },
};

const verifyClient: Scenario[] = [
  ...Object.entries(verifications).map(([name, verify]) =>
    scenario(`verifyClient ${name}`, { verifyClient: verify }),
  ),
  scenario(
    'verifyClient that reads its argument',
    ({ note }) => ({
      verifyClient({ origin, secure, req }: { origin: string; secure: boolean; req: object }) {
        note(`${new URL(origin).hostname} ${secure} ${(req as IncomingMessage).url}`);
        return true;
      },
    }),
    async (session) => {
      const ada = await session.connect('ada', '/', { origin: session.httpOrigin });
      await ada.send('hi');
    },
  ),
];

const LONG = 'x'.repeat(70_000);

const sendLong: Script = async (session) => {
  const ada = await session.connect('ada');
  await ada.send('length', LONG);
  await ada.closed();
  const bob = await session.connect('bob');
  await bob.send('length', 'x'.repeat(90));
};

/** Sends a masked text frame that is not UTF-8. */
function sendBadText({ socket }: ScriptedClient): void {
  const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]);
  (socket as unknown as { _socket: { write(data: Buffer): void } })._socket.write(frame);
}

const sendNoUtf8: Script = async (session) => {
  const ada = await session.connect('ada');
  sendBadText(ada);
  await ada.quiet();
  await ada.send('hi', 'there still?');
};

const compressing =
  (client: ClientOptions): Script =>
  async (session) => {
    const ada = await session.connect('ada', '/', client);
    session.note(`extensions "${ada.socket.extensions}"`);
    await ada.ask('hi', 'y'.repeat(5_000));
    await ada.close(4000);
  };

const frames: Scenario[] = [
  scenario('no maxPayload, 70,000 bytes', {}, async (session) => {
    const ada = await session.connect('ada');
    await ada.send('length', LONG);
  }),
  scenario('maxPayload above what is sent', { maxPayload: 100_000 }, async (session) => {
    const ada = await session.connect('ada');
    await ada.send('length', LONG);
  }),
  scenario('maxPayload below what is sent', { maxPayload: 1_000 }, sendLong),
  scenario('text that is not UTF-8', {}, sendNoUtf8),
  scenario('skipUTF8Validation', { skipUTF8Validation: true }, sendNoUtf8),
  scenario(
    'perMessageDeflate, with a client that compresses',
    { perMessageDeflate: true },
    compressing({}),
  ),
  scenario(
    'perMessageDeflate, with a client that does not',
    { perMessageDeflate: true },
    compressing({ perMessageDeflate: false }),
  ),
  scenario(
    'perMessageDeflate with settings',
    {
      perMessageDeflate: {
        threshold: 0,
        serverNoContextTakeover: true,
        clientNoContextTakeover: true,
      },
    },
    compressing({}),
  ),
  scenario('no perMessageDeflate, with a client that compresses', {}, compressing({})),
  scenario('maxFragments below what is sent', { maxFragments: 2 }, async (session) => {
    const ada = await session.connect('ada');
    for (const part of ['{"event"', ':', '"hi"']) ada.socket.send(part, { fin: false });
    ada.socket.send('}', { fin: true });
    await ada.quiet();
    await ada.send('hi', 'there still?');
  }),
  scenario('fragments', {}, async (session) => {
    const ada = await session.connect('ada');
    for (const part of ['{"event"', ':', '"hi"']) ada.socket.send(part, { fin: false });
    ada.socket.send('}', { fin: true });
    await ada.quiet();
  }),
  scenario('allowSynchronousEvents: false', { allowSynchronousEvents: false }, async (session) => {
    const ada = await session.connect('ada');
    for (const n of [1, 2, 3]) ada.socket.send(JSON.stringify({ event: 'hi', data: n }));
    await ada.until(3);
  }),
];

class Named extends WebSocket {
  get tea(): string {
    return 'green';
  }
}

const sockets: Scenario[] = [
  scenario('autoPong: false', { autoPong: false }, async (session) => {
    const ada = await session.connectOnly('ada');
    ada.socket.on('pong', () => session.note('pong'));
    ada.socket.ping();
    ada.socket.send(JSON.stringify({ event: 'hi' }));
    await ada.until(1);
    ada.socket.close(4000);
    await ada.closed();
  }),
  scenario('clientTracking: false', { clientTracking: false }),
  scenario('closeTimeout', { closeTimeout: 50 }, async (session) => {
    const ada = await session.connect('ada');
    await ada.close(4001);
    await session.noted('disconnect 4001');
  }),
  {
    title: 'option: WebSocket, a class of the app',
    app: ({ gateway, note }) => {
      @gateway({ WebSocket: Named })
      class Gateway {
        handleConnection(client: Named): void {
          note(`${client instanceof Named} ${client.tea}`);
        }
        @SubscribeMessage('hi') hi(client: Named): unknown {
          return { event: client.tea };
        }
      }
      return { providers: [Gateway] };
    },
    script: talk,
  },
  scenario('fields of other transports', {
    cors: { origin: 'https://elsewhere.example' },
    transports: ['websocket'],
    serveClient: false,
    pingInterval: 1,
    pingTimeout: 1,
    cookie: true,
    allowEIO3: true,
  }),
];

let port = 0;

/** A gateway on its own port, to which a client connects at each address. */
function ownPort(title: string, options: Options, addresses: readonly string[]): Scenario {
  return {
    title: `option: ${title}`,
    app: (setting) => gatewayWith(setting, options, port),
    before: async () => void (port = await freePort()),
    async script(session) {
      for (const address of addresses) {
        const client = await session.connect(
          `ada at ${address}`,
          `ws://${address.replace(':', `:${port}`)}?user=ada`,
        );
        await client.send('hi', 1);
        await client.close(4000);
      }
    },
  };
}

const addresses: Scenario[] = [
  ownPort('host', { host: '127.0.0.2' }, ['127.0.0.1:/', '127.0.0.2:/']),
  ownPort('host and path', { host: '127.0.0.2', path: '/own' }, [
    '127.0.0.1:/own',
    '127.0.0.2:/own',
  ]),
  ownPort('backlog', { backlog: 1 }, ['127.0.0.1:/']),
  ownPort(
    'own port with verifyClient and maxPayload',
    { verifyClient: () => true, maxPayload: 100_000 },
    ['127.0.0.1:/'],
  ),
];

const pages: Scenario[] = [
  scenario('none, with a page of this site', {}, async (session) => {
    await session.connect('ada', '/', { origin: session.httpOrigin });
  }),
  scenario('none, with a page of another site', {}, async (session) => {
    const ada = await session.connect('ada', '/', { origin: 'https://elsewhere.example' });
    await ada.send('hi', 1);
    await ada.close(4000);
  }),
];

const atBoot: Scenario[] = [
  { ...scenario('namespace', { namespace: 'chat' }), failsOnStock: true },
  scenario('server', { server: {} }),
  scenario('noServer: true', { noServer: true }),
];

/** Scenarios for all options of `@WebSocketGateway` and of the servers of `ws`. */
export const serverOptions: readonly Scenario[] = [
  ...subprotocols,
  ...verifyClient,
  ...frames,
  ...sockets,
  ...addresses,
  ...pages,
  ...atBoot,
];
