import type { WebSocketIsolationOptions } from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';

/** Returns the options that connect two demos over Redis; no options if `DEMO_REDIS_URL` is not set. */
export function clusterOptions(): Pick<WebSocketIsolationOptions, 'cluster' | 'resume'> {
  const url = process.env['DEMO_REDIS_URL'];
  if (url === undefined) return {};
  const nodeName = process.env['DEMO_NODE'];
  return { cluster: redisCluster({ url, nodeName }), resume: {} };
}
