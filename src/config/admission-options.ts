import { IsOptional, ValidateNested } from '../validation/class-validator.js';

import { atLeastOne, millisecondsFrom, NamesSome } from './option-rules.js';

/** Bounds for each client address: an IPv4 address, or a /64 of IPv6. */
export class AddressLimits {
  /** Sockets that one address may hold, handshakes under way included; further ones get 429. Default: no limit. */
  @IsOptional()
  @atLeastOne()
  maxConnections?: number | undefined = undefined;

  /** Upgrade requests of one address per second; further ones get 429. Default: no limit. */
  @IsOptional()
  @atLeastOne()
  perSecond?: number | undefined = undefined;
}

/** Which upgrade requests are refused before authentication. */
export class AdmissionOptions {
  /** Upgrade requests per second that this process takes; further ones get 503. Required. */
  @atLeastOne()
  perSecond: number = Number.NaN;

  /** Upgrade requests that this process takes at once, after a quiet time. Required. */
  @atLeastOne()
  burst: number = Number.NaN;

  /** Milliseconds of delay of the event loop, above which arrivals get 503. Default: no limit. */
  @IsOptional()
  @millisecondsFrom(1)
  maxEventLoopDelayMs?: number | undefined = undefined;

  /** Bounds for each client address. Behind a proxy, set `trustProxy` too. Default: none. */
  @IsOptional()
  @ValidateNested()
  @NamesSome('must name a limit: maxConnections, perSecond or both')
  perAddress?: AddressLimits | undefined = undefined;
}
