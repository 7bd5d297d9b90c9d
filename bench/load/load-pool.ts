import type { Protocol } from '../candidates/candidate.js';
import { type ClientTarget, LoadClient } from './client.js';

/** Connections per user: below 12, the number from which the cleanup looks at a user. */
const CONNECTIONS_PER_USER = 10;
/** The number of loopback addresses to connect from: each has its own range of client ports. */
const LOCAL_ADDRESSES = 16;

/** The server to connect to, and how many clients connect. */
export interface Crowd {
  readonly port: number;
  readonly protocol: Protocol;
  readonly count: number;
  /** Concurrent handshakes. */
  readonly concurrency: number;
  /** The user of all connections. Default: ten connections per user. */
  readonly userId?: string;
  /** Whether the clients offer compression. Default: no. */
  readonly deflates?: boolean;
}

let connected = 0;

function nextTarget({ port, protocol, userId, deflates }: Crowd): ClientTarget {
  connected += 1;
  return {
    port,
    protocol,
    userId: userId ?? `user-${process.pid}-${Math.ceil(connected / CONNECTIONS_PER_USER)}`,
    localAddress: `127.0.0.${1 + (connected % LOCAL_ADDRESSES)}`,
    deflates,
  };
}

/** Opens connections and keeps them open. */
export async function openAll(crowd: Crowd): Promise<LoadClient[]> {
  const clients: LoadClient[] = [];
  await inParallel(crowd, async () => {
    clients.push(await LoadClient.open(nextTarget(crowd)));
  });
  return clients;
}

/** Opens connections and closes each as soon as it is open. */
export async function openAndCloseAll(crowd: Crowd): Promise<void> {
  await inParallel(crowd, async () => {
    const client = await LoadClient.open(nextTarget(crowd));
    await client.close();
  });
}

/** Arrives, and expects to be refused. Connections that are accepted all the same are closed. */
export async function beRefusedAll(crowd: Crowd): Promise<void> {
  await inParallel(crowd, async () => {
    await LoadClient.open(nextTarget(crowd)).then(
      (client) => client.close(),
      (error: Error) => {
        if (!/ (429|503) /.test(error.message)) throw error;
      },
    );
  });
}

export async function closeAll(clients: readonly LoadClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
}

async function inParallel({ count, concurrency }: Crowd, work: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
}
