import type { INestApplication } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { createAdapter as overPubSub } from '@socket.io/redis-adapter';
import { createAdapter as overStreams } from '@socket.io/redis-streams-adapter';
import { createClient, type RedisClientOptions } from 'redis';
import type { ServerOptions as AllIoOptions, Server } from 'socket.io';

import type { ServerOptions } from './candidate.js';

type IoOptions = Partial<AllIoOptions>;

interface Clustering extends Pick<ServerOptions, 'redisUrl' | 'keepsHistory'> {
  /** Options of the clients of Redis. Default: as the documentation of Socket.IO's adapters creates them. */
  readonly redisOptions?: RedisClientOptions | undefined;
  /** Servers with the same prefix are a cluster. Default: `socket.io`. Only without a history. */
  readonly channelPrefix?: string;
}

/** Nest's adapter for Socket.IO, with options that decorators cannot have: they are known only when a server starts. */
class ConfiguredIoAdapter extends IoAdapter {
  constructor(
    app: INestApplication,
    private readonly configured: IoOptions,
  ) {
    super(app);
  }

  override createIOServer(port: number, options?: IoOptions): Server {
    return super.createIOServer(port, { ...options, ...this.configured } as AllIoOptions);
  }
}

/** Resolves with a function that makes the adapter: alone, or with Socket.IO's own adapter for several nodes. */
export async function ioAdapterFor(
  options: Clustering,
): Promise<(app: INestApplication) => IoAdapter> {
  const configured = await clusterOptions(options);
  return (app) => new ConfiguredIoAdapter(app, configured);
}

async function clusterOptions(clustering: Clustering): Promise<IoOptions> {
  const { redisUrl, keepsHistory, redisOptions, channelPrefix: key = 'socket.io' } = clustering;
  if (redisUrl === undefined) return {};
  const client = await createClient({ ...redisOptions, url: redisUrl }).connect();
  // Of the two adapters, only the one over streams lets clients recover what they have missed.
  if (keepsHistory) return { adapter: overStreams(client), connectionStateRecovery: {} };
  return { adapter: overPubSub(client, await client.duplicate().connect(), { key }) };
}
