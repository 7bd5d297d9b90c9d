import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { Injectable } from '@nestjs/common';

import type { ConnectionAuthenticator } from '../config/isolation.options.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';

const HEADER = 'x-test-ticket';

// Identities of clients that are connecting from this process, by ticket. A header without such a ticket admits no
// client, wherever this class is used.
const tickets = new Map<string, ConnectionIdentity>();

/**
 * Admits only identities that {@link TestApplication.connectAs} has announced. Use it in place of the app's own
 * authenticator: `.overrideProvider(TokenAuthenticator).useClass(TestAuthenticator)`.
 */
@Injectable()
export class TestAuthenticator implements ConnectionAuthenticator {
  async authenticate(request: IncomingMessage): Promise<ConnectionIdentity | null> {
    const ticket = String(request.headers[HEADER]);
    return tickets.get(ticket) ?? null;
  }
}

/** Announces the identity of a client that is about to connect, and withdraws it when the attempt is over. */
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
