import { type AnyContract, isContract } from '../contract/contract.js';
import { IsolationError } from '../errors/isolation-error.js';

const CONTRACT = Symbol('websocket-isolation:contract');

/** Notes the contract of a gateway class, or that it has none. */
export function setContract(type: object, contract: unknown): void {
  Reflect.defineMetadata(CONTRACT, contract, type);
}

/**
 * The contract of a gateway class: that of its own decorator, or of its parent's where it has none.
 *
 * @throws {IsolationError} `INVALID_CONTRACT` for a value that `defineContract()` has not made
 */
export function contractOf(type: { readonly name: string }): AnyContract | undefined {
  const contract: unknown = Reflect.getMetadata(CONTRACT, type);
  if (contract === undefined || isContract(contract)) return contract;
  throw new IsolationError(
    'INVALID_CONTRACT',
    `The contract of ${type.name} is not one. Write @IsolatedGateway({ contract: defineContract({ … }) }).`,
  );
}
