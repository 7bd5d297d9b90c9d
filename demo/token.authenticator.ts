import type { IncomingMessage } from 'node:http';

import { Injectable } from '@nestjs/common';
import type { ConnectionAuthenticator, ConnectionIdentity } from 'nestjs-websocket-isolation';

import { SignedTokens } from './signed-tokens.js';

/** Reads the token that the page sends as its second subprotocol, because browsers cannot set headers. */
@Injectable()
export class TokenAuthenticator implements ConnectionAuthenticator {
  constructor(private readonly tokens: SignedTokens) {}

  async authenticate(request: IncomingMessage): Promise<ConnectionIdentity | null> {
    const claims = this.tokens.verify(tokenOf(request));
    if (!claims) return null;
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const threadId = searchParams.get('thread');
    return { ...claims, ...(threadId && { threadId }) };
  }
}

function tokenOf({ headers }: IncomingMessage): string {
  const { authorization = '', 'sec-websocket-protocol': protocols = '' } = headers;
  if (authorization.startsWith('Bearer ')) return authorization.slice('Bearer '.length);
  return protocols.split(',')[1]?.trim() ?? '';
}
