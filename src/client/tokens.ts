import type { Calls } from './calls.js';
import { type ClientError, failure, type Report } from './client.error.js';
import { type ClientOptions, isProtocol, type TokenReason } from './options.js';

/** The tokens of the user, as the app returns them. */
export class Tokens {
  /** The one that the server has, or has refused. */
  current: string | undefined;
  #reason: TokenReason = 'connect';
  #isRenewing = false;

  /** @throws {TypeError} for a token instead of a function that returns one */
  constructor(private readonly token: ClientOptions['token']) {
    if (token !== undefined && typeof token !== 'function') {
      throw new TypeError('token is no function.');
    }
  }

  get areUsed(): boolean {
    return this.token !== undefined;
  }

  /** The server has refused the current one. */
  refused(): void {
    this.#reason = 'unauthorized';
  }

  /** The server has taken the current one. */
  accepted(): void {
    this.#reason = 'connect';
  }

  /** The connection has ended, and with it what `token()` may still owe. */
  lost(): void {
    this.#isRenewing = false;
  }

  /**
   * A token to connect with; `undefined` where there is none, or no other than the one that was refused.
   *
   * @throws what `token()` throws, and {@link TypeError} for what cannot be sent
   */
  async toConnect(): Promise<string | undefined> {
    const reason = this.#reason;
    const token = await this.#fetch(reason);
    return reason === 'unauthorized' && token === this.current ? undefined : token;
  }

  /** The identity of the connection is about to expire: gives the server a new token. */
  async renew(calls: Calls, report: Report): Promise<void> {
    if (this.#isRenewing || !this.token) return;
    this.#isRenewing = true;
    const over = (error?: ClientError): void => {
      this.lost();
      if (error && error.code !== 'CONNECTION_LOST') report(error);
    };
    try {
      const token = await this.#fetch('expiring');
      // Without a new one, the server closes with 4401, and the client asks for a token again.
      if (token === undefined || token === this.current) return over();
      const value = (): void => {
        this.current = token;
        over();
      };
      calls.start('renew', token, { kind: 'bound', value, end: over });
    } catch (cause) {
      over(failure('TOKEN_FAILED', 'token() failed', cause));
    }
  }

  async #fetch(reason: TokenReason): Promise<string | undefined> {
    const token = await this.token?.(reason);
    if (token === null) return undefined;
    if (isProtocol(token)) return token;
    throw new TypeError('expected a text that can be a subprotocol');
  }
}
