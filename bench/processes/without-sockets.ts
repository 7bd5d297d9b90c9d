import type { Server } from 'node:http';

import { dialects } from '../load/dialect.js';
import { clientFrame, Opcode } from '../load/frames.js';
import { MemoryClient, until } from '../load/memory-client.js';

const CONNECTIONS = 64;
const ECHO_BYTES = 64;
const CONNECTIONS_PER_USER = 10;

let connected = 0;

function connect(server: Server): MemoryClient {
  connected += 1;
  return new MemoryClient(server, `user-${Math.ceil(connected / CONNECTIONS_PER_USER)}`);
}

async function connectAll(server: Server): Promise<MemoryClient[]> {
  const clients = Array.from({ length: CONNECTIONS }, () => connect(server));
  await until(() => clients.every(({ writes }) => writes > 0));
  return clients;
}

async function disconnectAll(clients: readonly MemoryClient[]): Promise<void> {
  for (const client of clients) client.sayGoodbye();
  await until(() => clients.every(({ closed }) => closed));
}

// Processor time instead of wall-clock time, so that other load on the machine does not count.
function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Runs echoes without the operating system. Resolves with the microseconds per echo. */
export async function echoWithoutSockets(server: Server, messages: number): Promise<number> {
  const frame = clientFrame(Opcode.TEXT, dialects.plain.echo(ECHO_BYTES));
  const clients = await connectAll(server);
  const rounds = Math.ceil(messages / CONNECTIONS);
  const before = process.cpuUsage();
  for (let round = 1; round <= rounds; round += 1) {
    for (const client of clients) client.send(frame);
    await until(() => clients.every(({ writes }) => writes === 1 + round));
  }
  const cpuUs = cpuSince(before);
  await disconnectAll(clients);
  return cpuUs / (rounds * CONNECTIONS);
}

/** Opens and closes connections without the operating system. Resolves with the microseconds per connection. */
export async function connectWithoutSockets(server: Server, count: number): Promise<number> {
  const rounds = Math.ceil(count / CONNECTIONS);
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) await disconnectAll(await connectAll(server));
  return cpuSince(before) / (rounds * CONNECTIONS);
}
