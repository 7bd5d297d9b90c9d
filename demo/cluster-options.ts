import type { WebSocketIsolationOptions } from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';

/** What makes two demos one; nothing for a demo that stands alone. */
export function clusterOptions(): Pick<WebSocketIsolationOptions, 'cluster' | 'resume'> {
  const url = process.env['DEMO_REDIS_URL'];
  if (url === undefined) return {};
  const nodeName = process.env['DEMO_NODE'];
  return { cluster: redisCluster({ url, nodeName }), resume: {} };
}
