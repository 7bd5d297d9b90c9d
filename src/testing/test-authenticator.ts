import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { Injectable } from '@nestjs/common';

import type { ConnectionAuthenticator } from '../config/isolation.options.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';

const HEADER = 'x-test-ticket';

// Identities of clients that are connecting from this process, by ticket. A header without such a ticket admits no
// client, wherever this class is used.
const tickets = new Map<string, ConnectionIdentity>();

/**
 * Admits only identities that {@link TestApplication.connectAs}, {@link TestApplication.renewAs} or {@link TestApplication.client} has announced. Use it in place of the app's own
 * authenticator: `.overrideProvider(TokenAuthenticator).useClass(TestAuthenticator)`.
 */
@Injectable()
export class TestAuthenticator implements ConnectionAuthenticator {
  async authenticate(request: IncomingMessage): Promise<ConnectionIdentity | null> {
    const ticket = String(request.headers[HEADER]);
    return tickets.get(ticket) ?? null;
  }

  async renew(
    _context: UserExecutionContext,
    credentials: unknown,
  ): Promise<ConnectionIdentity | null> {
    return tickets.get(String(credentials)) ?? null;
  }
}

/** An identity that clients of this process may have, until it is withdrawn. */
export interface Ticket {
  /** The header by which {@link TestAuthenticator} knows the identity. */
  readonly headers: Record<string, string>;
  /** The credentials by which it knows the identity in a renewal. */
  readonly text: string;
  withdraw(): void;
}

/** Announces the identity of clients that are about to connect or to renew. */
export function announce(identity: ConnectionIdentity): Ticket {
  const ticket = randomUUID();
  tickets.set(ticket, identity);
  const withdraw = (): void => void tickets.delete(ticket);
  return { headers: { [HEADER]: ticket }, text: ticket, withdraw };
}
