import { WebSocket } from 'ws';

import { connect } from 'nestjs-websocket-isolation/client';

/** Milliseconds after which a naive client tries again. */
const RETRY_MS = 1_000;
/** As in the client of this library. Without it, `ws` waits for a response for ever. */
const CONNECT_TIMEOUT_MS = 20_000;

/** The answer to a hello: the process that gave it, and the number of the hello. */
export interface HelloAnswer {
  readonly node: number;
  readonly number: number;
}

/** Is told what happens to a client. */
export interface StormClientOwner {
  /** An attempt begins. */
  attempted(): void;
  /** A connection is open. It may be closed at once: then it was a refusal. */
  opened(): void;
  answered(answer: HelloAnswer): void;
  /** A connection, or an attempt at one, has ended. Another attempt follows, unless it `isForGood`. */
  ended(isForGood?: boolean): void;
}

/** A client that comes back. */
export interface StormClient {
  sayHello(number: number): void;
  close(): void;
}

type From = new (url: string, protocols: string[]) => WebSocket;

/** The class of `ws`, with connections that come from one address of the loopback. */
export function fromAddress(localAddress: string): From {
  return class extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols, {
        localAddress,
        perMessageDeflate: false,
        handshakeTimeout: CONNECT_TIMEOUT_MS,
      });
    }
  };
}

/** The client of this library, as it is. */
export function ourClient(url: string, Socket: From, owner: StormClientOwner): StormClient {
  const client = connect(url, { WebSocket: Socket });
  client.on('hello', (given: HelloAnswer) => owner.answered(given));
  client.onState(({ state }) => {
    if (state === 'open') owner.opened();
    else if (state === 'connecting') owner.attempted();
    else owner.ended(state === 'closed');
  });
  return {
    sayHello: (number) => void client.send('hello', number),
    close: () => client.close(),
  };
}

/** What is written where there is no client: a constant wait, and another attempt. */
export function naiveClient(url: string, Socket: From, owner: StormClientOwner): StormClient {
  let socket: WebSocket;
  let retry: NodeJS.Timeout | undefined;
  let isOver = false;
  const attempt = (): void => {
    owner.attempted();
    socket = new Socket(url, []);
    socket.on('open', () => owner.opened());
    socket.on('message', (frame: Buffer) => {
      owner.answered((JSON.parse(frame.toString()) as { data: HelloAnswer }).data);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (isOver) return;
      owner.ended();
      retry = setTimeout(attempt, RETRY_MS);
    });
  };
  attempt();
  return {
    sayHello: (number) => socket.send(JSON.stringify({ event: 'hello', data: number })),
    close: () => {
      isOver = true;
      clearTimeout(retry);
      socket.close();
    },
  };
}
