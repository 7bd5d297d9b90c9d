import {
  Allow,
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
} from '../validation/class-validator.js';

import {
  adopt,
  groupFaults,
  InvalidOptionsError,
  type OptionFault,
} from '../config/option-faults.js';

/** A client of the `redis` package, of any kind: single, Sentinel or Redis Cluster. */
export interface RedisClientToCopy {
  duplicate(overrides?: never): unknown;
}

/** Which limit holds while Redis is away, see the option `onUnavailable`. */
export type UnavailableMode = 'local' | 'closed' | 'open';

const msFrom =
  (least: number): PropertyDecorator =>
  (target, key) => {
    const message = `must be a whole number of milliseconds from ${least} to an hour`;
    IsInt({ message })(target, key);
    Min(least, { message })(target, key);
    Max(3_600_000, { message })(target, key);
  };

const text = (longest: number): PropertyDecorator => {
  const message = `must be a text of at most ${longest} characters`;
  return (target, key) => {
    IsString({ message })(target, key);
    MaxLength(longest, { message })(target, key);
    // Lone surrogates are all encoded as the same bytes: two different secrets would be equal.
    Matches(/^\P{Cs}*$/su, { message: 'must be well-formed Unicode' })(target, key);
  };
};

// The initial value of a property is its default; the decorators are its rule.

/** The settings of a cluster over Redis, with every default filled in. */
export class RedisClusterSettings {
  /** `redis[s]://[[user][:password]@]host[:port][/db]`. Either this or `client` is required. Default: none. */
  @IsOptional()
  @Matches(/^rediss?:\/\/./, { message: 'must be an address like redis://host:6379' })
  url: string | undefined = undefined;

  /**
   * A client to copy: for Sentinel, Redis Cluster or certificates. It need not be connected, and is never used or
   * closed. Default: none.
   */
  @Allow()
  client: RedisClientToCopy | undefined = undefined;

  /**
   * First part of the name of every key and channel. Applications that share a database need different prefixes.
   * Default: `'wsi'`.
   */
  @Matches(/^[\w.:-]{1,64}$/, { message: 'must be 1 to 64 letters, digits or . : _ -' })
  keyPrefix = 'wsi';

  /** Makes the hashes of user ids in keys unguessable. It has to be the same on all nodes. Default: `''`. */
  @text(1024)
  secret = '';

  /** Display name of this node. Default: host name and process id. */
  @IsOptional()
  @text(256)
  nodeName: string | undefined = undefined;

  /**
   * What holds while Redis is away. `'local'`: each process applies the limit per user to its own connections.
   * `'closed'`: new connections are refused. `'open'`: only the capacity of the process counts. Default: `'local'`.
   */
  @IsIn(['local', 'closed', 'open'], { message: "must be one of 'local', 'closed', 'open'" })
  onUnavailable: UnavailableMode = 'local';

  /** Milliseconds after which a slot that is not renewed is free again. Default: 30,000. */
  @msFrom(200)
  leaseMs = 30_000;

  /**
   * Milliseconds between renewals, with a jitter of a quarter. At most a third of `leaseMs`: three attempts fit in.
   * Default: 10,000.
   */
  @msFrom(50)
  renewMs = 10_000;

  /** Milliseconds that an arrival waits for Redis. Default: 250. */
  @msFrom(1)
  acquireTimeoutMs = 250;

  /** Milliseconds that all other commands wait for Redis. Default: 1,000. */
  @msFrom(1)
  commandTimeoutMs = 1_000;

  /**
   * Milliseconds between heartbeats of a node. A node counts as dead after two and a third intervals without one.
   * Default: 3,000.
   */
  @msFrom(50)
  heartbeatMs = 3_000;
}

/** What `redisCluster()` takes: `url` or `client`; everything else has a default. */
export type RedisClusterOptions = {
  readonly [Key in keyof RedisClusterSettings]?: RedisClusterSettings[Key] | undefined;
};

/** Options whose values are left out of error messages: they contain passwords, or are not text. */
const SECRET_OPTIONS = new Set(['url', 'client', 'secret']);

/** @throws {InvalidOptionsError} naming every option that breaks its rule */
export function resolveRedisOptions(given: RedisClusterOptions): Readonly<RedisClusterSettings> {
  const settings = new RedisClusterSettings();
  const faults = [
    ...adopt(settings, '', given),
    ...groupFaults('', settings),
    ...faultsBetween(settings),
  ];
  if (faults.length > 0) throw new InvalidOptionsError(faults.map(withoutSecret), 'redisCluster()');
  return Object.freeze(settings);
}

function faultsBetween({ url, client, renewMs, leaseMs }: RedisClusterSettings): OptionFault[] {
  const faults: OptionFault[] = [];
  if ((url === undefined) === (client === undefined)) {
    faults.push({
      option: 'url',
      value: url,
      rule: 'must be given, or `client` instead; not both',
    });
  }
  if (typeof url === 'string' && /^rediss?:/.test(url) && !isAddress(url)) {
    const rule = 'must be an address like redis://host:6379/0, with a number for the database';
    faults.push({ option: 'url', value: url, rule });
  }
  if (client !== undefined && typeof (client as { evalSha?: unknown }).evalSha !== 'function') {
    const rule = 'must be a client of the `redis` package, version 6 or later';
    faults.push({ option: 'client', value: client, rule });
  }
  if (renewMs * 3 > leaseMs) {
    const rule = `must not exceed a third of leaseMs (${leaseMs})`;
    faults.push({ option: 'renewMs', value: renewMs, rule });
  }
  return faults;
}

function isAddress(url: string): boolean {
  return URL.canParse(url) && /^(?:\/\d*)?$/.test(new URL(url).pathname);
}

function withoutSecret({ option, value, rule }: OptionFault): OptionFault {
  const isHidden = SECRET_OPTIONS.has(option) && value !== undefined;
  return { option, value: isHidden ? '…' : value, rule };
}
