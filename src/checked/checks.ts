import { ClientError, type ClientErrorCode, thrownText } from '../client/client.error.js';
import { check, type Checked, faultText } from '../contract/check.js';
import type { StandardSchema } from '../contract/standard-schema.js';
import { isThenable } from '../structures/maybe-async.js';

/** `INVALID_PAYLOAD`: the fault is of the app. `UNEXPECTED_DATA`: it is of the server. */
type FaultCode = Extract<ClientErrorCode, 'INVALID_PAYLOAD' | 'UNEXPECTED_DATA'>;

/** A schema that takes longer has failed: what arrives later does not wait for ever. */
const LONGEST_CHECK_MS = 5_000;

/**
 * What a schema makes of a value that has arrived. Returns a promise only where the schema does.
 *
 * @param what names the value in errors: `"said"`
 * @throws {ClientError} `UNEXPECTED_DATA`, or rejects with it
 */
export function received(schema: StandardSchema, value: unknown, what: string): unknown {
  const read = (checked: Checked): unknown => valueOf(checked, 'UNEXPECTED_DATA', what);
  const failed = (thrown: unknown): never => {
    throw fault('UNEXPECTED_DATA', what, thrown);
  };
  try {
    const checked = check(schema, value);
    return isThenable(checked) ? inTime(checked).then(read).catch(failed) : read(checked);
  } catch (thrown) {
    return failed(thrown);
  }
}

/**
 * Looks at a value before it is sent, as it is. Where the schema returns a promise, only the server decides: sending
 * does not wait.
 *
 * @throws {ClientError} `INVALID_PAYLOAD`
 */
export function assertSendable(
  schema: StandardSchema | undefined,
  value: unknown,
  what: string,
): void {
  if (!schema) return;
  try {
    const checked = check(schema, value);
    if (isThenable(checked)) checked.catch(ignore);
    else valueOf(checked, 'INVALID_PAYLOAD', what);
  } catch (thrown) {
    throw fault('INVALID_PAYLOAD', what, thrown);
  }
}

function valueOf(checked: Checked, code: FaultCode, what: string): unknown {
  const { issues } = checked;
  if (issues) throw new ClientError(code, faultText(what, issues), { data: { issues } });
  return checked.value;
}

function fault(code: FaultCode, what: string, thrown: unknown): ClientError {
  if (thrown instanceof ClientError) return thrown;
  const text = `The data of ${what} could not be checked: ${thrownText(thrown)}`;
  return new ClientError(code, text, { cause: thrown });
}

function inTime<T>(pending: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void =>
      reject(new Error(`the schema has not decided within ${LONGEST_CHECK_MS} ms`));
    const timer = setTimeout(late, LONGEST_CHECK_MS);
    pending.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function ignore(): void {
  // Nothing waits for this check.
}
