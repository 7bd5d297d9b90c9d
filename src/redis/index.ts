export { redisCluster } from './redis-cluster.js';
export {
  type RedisClientToCopy,
  type RedisClusterOptions,
  type UnavailableMode,
} from './redis.options.js';
