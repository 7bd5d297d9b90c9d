// Two demos and one Redis: what one of them counts and sends, the other knows.
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const FIRST_PORT = Number(process.env['PORT'] ?? 3000);
const children: ChildProcess[] = [];

process.on('exit', () => children.forEach((child) => child.kill()));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);

const redisUrl = process.env['REDIS_URL'] ?? (await startRedis());
if (redisUrl === undefined) {
  console.error(
    'There is no Redis. Install redis-server, or run `docker compose up -d` and then ' +
      '`REDIS_URL=redis://localhost:6379 npm run demo:cluster`.',
  );
  process.exit(1);
}
const secret = randomBytes(32).toString('hex');
for (const [index, name] of ['left', 'right'].entries()) {
  const port = FIRST_PORT === 0 ? 0 : FIRST_PORT + index;
  const ours = { PORT: String(port), DEMO_REDIS_URL: redisUrl, DEMO_NODE: name };
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  keep(fork(main, { env: { ...process.env, DEMO_SECRET: secret, ...ours } }));
}

/** A Redis of our own, for as long as the demo runs; `undefined` where none is installed. */
async function startRedis(): Promise<string | undefined> {
  const port = await freePort();
  const command = process.env['REDIS_SERVER_PATH'] ?? 'redis-server';
  const options = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  const server = spawn(command, options, { stdio: 'ignore' });
  const isThere = await Promise.race([
    once(server, 'spawn').then(() => true),
    once(server, 'error').then(() => false),
  ]);
  if (!isThere) return undefined;
  console.log(`REDIS_URL is not set: a Redis of our own runs on port ${port} meanwhile.`);
  keep(server);
  return `redis://127.0.0.1:${port}`;
}

// One for all: half a cluster would be no demo.
function keep(child: ChildProcess): void {
  children.push(child);
  child.once('exit', stop);
}

// The nodes first: they say goodbye to their clients, and to Redis.
function stop(): void {
  const living = children.filter(
    ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
  );
  const nodes = living.filter(({ connected }) => connected);
  for (const child of nodes.length > 0 ? nodes : living) child.kill('SIGTERM');
  if (living.length === 0) process.exit();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
