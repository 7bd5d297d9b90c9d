import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

import { Injectable } from '@nestjs/common';

const LIFETIME_MS = 60 * 60 * 1000;

/** The claims of a token. */
export interface TokenClaims {
  readonly userId: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

/** Issues and verifies tokens: claims, and a signature over them. A real app would use a JWT library. */
@Injectable()
export class SignedTokens {
  readonly #secret = process.env['DEMO_SECRET'] ?? randomBytes(32);

  issue(userId: string): string {
    const claims: TokenClaims = { userId, expiresAt: Date.now() + LIFETIME_MS };
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return `${payload}.${this.#sign(payload)}`;
  }

  /** Returns the claims of a token with a valid signature that has not expired; `null` for any other text. */
  verify(token: string): TokenClaims | null {
    const [payload = '', signature = ''] = token.split('.');
    const expected = Buffer.from(this.#sign(payload));
    const given = Buffer.from(signature);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as TokenClaims;
    return claims.expiresAt > Date.now() ? claims : null;
  }

  #sign(payload: string): string {
    return createHmac('sha256', this.#secret).update(payload).digest('base64url');
  }
}
