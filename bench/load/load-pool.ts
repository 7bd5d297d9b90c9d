import type { Protocol } from '../candidates/candidate.js';
import { type ClientTarget, LoadClient } from './client.js';

/** Connections of one user: below the 12 from which cleanup takes an interest. */
const CONNECTIONS_PER_USER = 10;
/** Addresses of the loopback to connect from: each has its own client ports. */
const LOCAL_ADDRESSES = 16;

/** Whom to connect to. */
export interface Crowd {
  readonly port: number;
  readonly protocol: Protocol;
  readonly count: number;
  /** Handshakes under way at once. */
  readonly concurrency: number;
  /** Whose connections they all are; default: ten of each user. */
  readonly userId?: string;
}

let connected = 0;

function nextTarget({ port, protocol, userId }: Crowd): ClientTarget {
  connected += 1;
  return {
    port,
    protocol,
    userId: userId ?? `user-${process.pid}-${Math.ceil(connected / CONNECTIONS_PER_USER)}`,
    localAddress: `127.0.0.${1 + (connected % LOCAL_ADDRESSES)}`,
  };
}

/** Opens connections and keeps them. */
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
