import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { Injectable } from '@nestjs/common';

import type { ConnectionAuthenticator } from '../config/isolation.options.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';

const HEADER = 'x-test-ticket';

// Whoever is on the way in this process, by ticket: a header alone gets nobody in, wherever this is used.
const tickets = new Map<string, ConnectionIdentity>();

/**
 * Believes in identities that {@link TestApplication.connectAs} has announced, and in nobody else. Put it
 * in the place of the app's own authenticator: `.overrideProvider(TokenAuthenticator).useClass(TestAuthenticator)`.
 */
@Injectable()
export class TestAuthenticator implements ConnectionAuthenticator {
  async authenticate(request: IncomingMessage): Promise<ConnectionIdentity | null> {
    const ticket = String(request.headers[HEADER]);
    return tickets.get(ticket) ?? null;
  }
}

/** Announces somebody who is about to connect, and takes that back when the attempt is over. */
export async function withTicket<T>(
  identity: ConnectionIdentity,
  connect: (headers: Record<string, string>) => Promise<T>,
): Promise<T> {
  const ticket = randomUUID();
  tickets.set(ticket, identity);
  try {
    return await connect({ [HEADER]: ticket });
  } finally {
    tickets.delete(ticket);
  }
}
