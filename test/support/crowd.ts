import { eventually } from 'nestjs-websocket-isolation/testing';
import { WebSocket } from 'ws';

const NAMES = [
  'ada',
  'grace',
  'linus',
  'margaret',
  'alan',
  'barbara',
  'edsger',
  'radia',
  'donald',
  'frances',
  'tim',
  'katherine',
];
const THREADS = ['inbox', 'trip-to-rome', 'quarterly-report', 'recipes', 'support-4711'];

/** Yields a user id per connection of a crowd: few users have many connections, and most have one. */
export function* crowdOf(connections: number, limit = 20): Generator<string, void, undefined> {
  let left = connections;
  for (let index = 0; left > 0; index += 1) {
    const held = Math.min(left, Math.max(1, Math.round(limit / (1 + index / 10))));
    const name = NAMES[index % NAMES.length]!;
    const userId = index < NAMES.length ? name : `${name}-${Math.floor(index / NAMES.length)}`;
    for (let slot = 0; slot < held; slot += 1) yield userId;
    left -= held;
  }
}

export interface CrowdClient {
  readonly userId: string;
  readonly threadId: string;
  readonly socket: WebSocket;
}

/** A crowd of stock `ws` clients. */
export class Crowd {
  readonly clients: CrowdClient[] = [];

  /** @param base the `ws://…` URL of the gateway */
  constructor(private readonly base: string) {}

  /** Opens connections for users in batches, and waits until they are open. */
  async open(users: Iterable<string>): Promise<void> {
    let batch: Promise<void>[] = [];
    let index = 0;
    for (const userId of users) {
      batch.push(this.#connect(userId, THREADS[index % THREADS.length]!));
      index += 1;
      if (batch.length === 100) {
        await Promise.all(batch);
        batch = [];
      }
    }
    await Promise.all(batch);
  }

  /** Tries to open a connection. Resolves even if the server refuses it. */
  tryOnce(userId: string): Promise<void> {
    return this.#connect(userId, 'inbox').catch(() => undefined);
  }

  send({ socket }: CrowdClient, event: string, data: unknown = {}): void {
    socket.send(JSON.stringify({ event, data }));
  }

  async close(): Promise<void> {
    for (const { socket } of this.clients) socket.terminate();
    await eventually(() => {
      if (this.clients.some(({ socket }) => socket.readyState !== WebSocket.CLOSED)) {
        throw new Error('still open');
      }
    });
    this.clients.length = 0;
  }

  #connect(userId: string, threadId: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const query = new URLSearchParams({ user: userId, thread: threadId });
      const socket = new WebSocket(`${this.base}?${query.toString()}`);
      socket.once('open', () => {
        this.clients.push({ userId, threadId, socket });
        resolve();
      });
      socket.on('error', reject);
      // The test does not use the replies, but they must be read, or the server's buffers would fill.
      socket.on('message', () => undefined);
    });
  }
}
