import { IsOptional, ValidateNested } from '../validation/class-validator.js';

import type { TrustProxy } from '../address/trusted-proxies.js';
import { AdmissionOptions } from './admission-options.js';
import {
  atLeastOne,
  flag,
  IsOriginPolicy,
  IsStringList,
  IsTrustProxy,
  millisecondsFrom,
  oneOf,
  type OriginPolicy,
} from './option-rules.js';

/** What happens between the upgrade request and the open socket. */
export class HandshakeOptions {
  /**
   * Origins that may connect: `'same-origin'`, a list of exact origins, `'*'`, or a function. Default: `'same-origin'`.
   */
  @IsOriginPolicy()
  allowedOrigins: OriginPolicy = 'same-origin';

  /**
   * Whether a request without an Origin header may connect (programs other than browsers send none).
   * Default: true, but false for a request that carries cookies.
   */
  @IsOptional()
  @flag()
  allowMissingOrigin: boolean | undefined = undefined;

  /**
   * Milliseconds that a handshake may take. The connect hook of each gateway has as long again, and so have a renewal
   * of the identity and the authorizer of topics. Default: 10,000.
   */
  @millisecondsFrom(1)
  timeoutMs = 10_000;

  /**
   * Milliseconds before the end of its identity at which a client gets `expiring`, where the authenticator has `renew`.
   * An identity that lives shorter than this: in the middle of its life. 0: never. Default: 60,000.
   */
  @millisecondsFrom(0)
  expiryNoticeMs = 60_000;

  /**
   * Handshakes that may be pending at once; further ones get 503. Clients that come back to a thread have as many
   * places of their own. Default: 1,000.
   */
  @atLeastOne()
  maxPending = 1_000;

  /**
   * Refuse with an HTTP status, or accept and send a close code, which a browser can read. `'close-behind-proxy'`: with
   * a close code, except for a process that starts or drains. That one responds with 503, so that the proxy tries
   * another one. Default: `'http'`.
   */
  @oneOf('http', 'close', 'close-behind-proxy')
  rejectWith: 'http' | 'close' | 'close-behind-proxy' = 'http';

  /**
   * Prefixes of subprotocols that are credentials, as in `new WebSocket(url, ['chat', token])`. The response never
   * selects such a subprotocol. Default: `['eyJ']`, the prefix of every JWT. Names above 32 characters always count as
   * credentials.
   */
  @IsStringList({ message: 'must be a list of prefixes' })
  credentialProtocols: readonly string[] = ['eyJ'];

  /** Names of the request headers to keep for `ConnectionRequest.headers`, in lower case. Default: `[]`. */
  @IsStringList({ message: 'must be a list of header names' })
  keepHeaders: readonly string[] = [];

  /**
   * Which proxies are believed about the addresses of clients: how many there are, their addresses and networks, or a
   * function. Default: none, so that the address of a client is that of the peer.
   */
  @IsOptional()
  @IsTrustProxy()
  trustProxy: TrustProxy | undefined = undefined;

  /**
   * How events, log lines and spans name the address of a client: its network, the whole address, or not at all.
   * Default: `'masked'`.
   */
  @oneOf('masked', 'full', 'off')
  logAddresses: 'masked' | 'full' | 'off' = 'masked';

  /** Which upgrade requests are refused before authentication. Default: none. */
  @IsOptional()
  @ValidateNested()
  admission: AdmissionOptions | undefined = undefined;
}
