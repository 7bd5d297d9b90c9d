// Starts two demos and a Redis server. The demos share their connection counts and messages.
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
    'No Redis server was found. Install redis-server, or run `docker compose up -d` and then ' +
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

/** Starts a Redis server for the demo. Resolves with its URL, or `undefined` if redis-server is not installed. */
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
  console.log(`REDIS_URL is not set: the demo has started its own Redis on port ${port}.`);
  keep(server);
  return `redis://127.0.0.1:${port}`;
}

// When a child process exits, the whole demo stops: a demo of a cluster needs all its processes.
function keep(child: ChildProcess): void {
  children.push(child);
  child.once('exit', stop);
}

// Stops the nodes before Redis: they close their connections and leave the cluster first.
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
