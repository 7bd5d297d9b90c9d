import type {
  AnyContract,
  ClientMessageDefinition,
  RepliedDefinition,
} from '../contract/contract.js';
import { IsolationError } from '../errors/isolation-error.js';
import { contractOf } from '../upgrade/gateway-contract.js';
import type { GatewayDefinition } from './gateway-definition.js';
import { BINARY_EVENT } from './subscribe-binary.decorator.js';

/** The contracts of the gateways that share a path: what clients may send there, and how they answer. */
export class PathContract {
  readonly #messages = new Map<unknown, ClientMessageDefinition>();
  readonly #asks = new Map<unknown, RepliedDefinition>();
  readonly contracts = new Set<AnyContract>();

  /**
   * `undefined` for a path whose gateways have no contract.
   *
   * @throws {IsolationError} `CONTRACT_MISMATCH`; the message names the event and the gateway
   */
  static of(gateways: readonly GatewayDefinition[]): PathContract | undefined {
    const contracts = new Map(gateways.map((gateway) => [gateway, contractOf(gateway.type)]));
    if ([...contracts.values()].every((contract) => contract === undefined)) return undefined;
    const path = new PathContract();
    for (const [gateway, contract] of contracts) if (contract) path.#add(contract, gateway);
    return path;
  }

  /** The definition of a client's message; `undefined` for one that no contract has. */
  messageOf(event: unknown): ClientMessageDefinition | undefined {
    return this.#messages.get(event);
  }

  /** The definition of a question of the server. */
  askOf(event: unknown): RepliedDefinition | undefined {
    return this.#asks.get(event);
  }

  /** The messages of clients that no handler takes. */
  unhandled(isHandled: (event: string) => boolean): string[] {
    return ([...this.#messages.keys()] as string[]).filter((event) => !isHandled(event));
  }

  #add(contract: AnyContract, { name, handlers }: GatewayDefinition): void {
    this.contracts.add(contract);
    for (const { event } of handlers) {
      // A contract says nothing about bytes.
      if (event === BINARY_EVENT) continue;
      if (typeof event === 'string' && Object.hasOwn(contract.client, event)) continue;
      throw mismatch(
        `${name} handles "${String(event)}", which \`client\` of its contract does not have, so that nothing would ` +
          'check its data. Add it to the contract, or move the handler to a gateway without one.',
      );
    }
    addAll(this.#messages, contract.client, name);
    addAll(this.#asks, contract.asks, name);
  }
}

function addAll<T>(to: Map<unknown, T>, messages: Readonly<Record<string, T>>, name: string): void {
  for (const [event, definition] of Object.entries(messages)) {
    if ((to.get(event) ?? definition) !== definition) {
      throw mismatch(
        `The contract of ${name} defines "${event}" otherwise than that of another gateway on the same path. ` +
          'Give both gateways one contract, or different paths.',
      );
    }
    to.set(event, definition);
  }
}

function mismatch(text: string): IsolationError {
  return new IsolationError('CONTRACT_MISMATCH', text);
}
