import { Logger } from '@nestjs/common';

import type { GatewayDefinition } from '../handlers/gateway-definition.js';
import type { IsolatedServer } from '../handlers/isolated-server.js';
import type { TopicRequests } from '../topics/topic-requests.js';

// What lets the app start, and is hardly what its author wants.

/** A class in the `providers` of two modules: each module has an instance, and every connection gets both. */
export function warnOfCopies(gateways: readonly GatewayDefinition[]): void {
  for (const type of new Set(gateways.map((gateway) => gateway.type))) {
    const copies = gateways.filter((gateway) => gateway.type === type);
    if (copies.length === 1) continue;
    const modules = copies.map(({ wrapper }) => wrapper.host?.name).join(', ');
    warn(
      `${copies[0]!.name} is in the \`providers\` of several modules (${modules}), and each has its own instance: ` +
        'every connection gets all of them, and each handles every message. Provide it in one module, and import that.',
    );
  }
}

/** Events that the library handles itself. */
export function warnOfTaken(gateways: readonly GatewayDefinition[], topics: TopicRequests): void {
  for (const { name, handlers } of gateways) {
    const taken = handlers.find(({ event }) => topics.takes(event, true));
    if (!taken) continue;
    warn(
      `${name} has @SubscribeMessage('${String(taken.event)}'), but no message will reach it: with topics.authorizer ` +
        'the library handles `subscribe` and `unsubscribe` itself. Rename the event, or remove the handler.',
    );
  }
}

/** Messages of a contract without a handler. */
export function warnOfUnhandled(server: IsolatedServer): void {
  const events = server.contract?.unhandled((event) => server.handlersOf(event) !== undefined);
  for (const event of events ?? []) {
    warn(
      `The contract of ${server.path} has the message "${event}", which no gateway there handles: clients that send it ` +
        'are refused with UNKNOWN_EVENT.',
    );
  }
}

/** @param names gateways that are in no module */
export function warnOfUnprovided(names: Iterable<string>): void {
  for (const name of names) {
    warn(
      `${name} has @IsolatedGateway(), but is in no \`providers\` of this application: no client can connect to it. ` +
        `Write providers: [${name}] in a module of the application.`,
    );
  }
}

function warn(line: string): void {
  new Logger('WebSocketIsolation').warn(line);
}
