import { validateSync, type ValidationError } from '../validation/class-validator.js';

import { IsolationError } from '../errors/isolation-error.js';
import { nearestName } from './nearest-name.js';
import { variableOf } from './variables.js';

/** One option that breaks its rule. */
export interface OptionFault {
  /** For example `limits.maxManagersPerUser`. */
  readonly option: string;
  readonly value: unknown;
  readonly rule: string;
}

/** The configuration breaks rules. Names every invalid option, its value and its rule. */
export class InvalidOptionsError extends IsolationError {
  /** @param of the function that takes the options. Default: the module */
  constructor(
    readonly faults: readonly OptionFault[],
    of?: string,
  ) {
    const where =
      of === undefined
        ? 'WebSocketIsolationModule are not valid. Correct them in forRoot() or in the environment:'
        : `${of} are not valid. Correct them where it is called:`;
    const lines = faults.map((fault) => lineOf(fault, of === undefined));
    super('INVALID_OPTIONS', `The options of ${where}\n${lines.join('\n')}`);
  }
}

/** Formats a fault as one line of an error message. */
export function lineOf({ option, value, rule }: OptionFault, hasVariable = false): string {
  // The value of an option that does not exist may be a secret, so it is not shown.
  if (rule.startsWith(NO_SUCH)) return `  ${option}: ${rule}`;
  const variable = hasVariable ? variableOf(option) : undefined;
  return `  ${option}${variable === undefined ? '' : ` (or ${variable})`} is ${show(value)}: ${rule}`;
}

const NO_SUCH = 'there is no such ';

/** The fault of a name that no option (or variable) has, with the name that was probably meant. */
export function unknownName(
  what: 'option' | 'variable',
  name: string,
  value: unknown,
  known: Iterable<string>,
): OptionFault {
  const path = name.slice(0, name.lastIndexOf('.') + 1);
  const nearest = nearestName(name.slice(path.length), known);
  const hint = nearest === undefined ? '' : `; did you mean ${path}${nearest}?`;
  return { option: name, value, rule: `${NO_SUCH}${what}${hint}` };
}

/**
 * Writes the given options over the defaults, and returns a fault for each unknown name. An explicit `undefined` keeps
 * the default.
 *
 * @param path of the group, with a dot at its end; empty at the top
 */
export function adopt(defaults: object, path: string, given: unknown): OptionFault[] {
  if (given === undefined) return [];
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const option = path === '' ? 'options' : path.slice(0, -1);
    return [{ option, value: given, rule: 'must be an object of options' }];
  }
  const faults: OptionFault[] = [];
  const target = defaults as Record<string, unknown>;
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(target, name)) {
      faults.push(unknownName('option', path + name, value, Object.keys(target)));
    } else if (value !== undefined) target[name] = value;
  }
  return faults;
}

/** The faults of an object whose properties carry their rules as decorators. `name` is the path of the object. */
export function groupFaults(name: string, group: object): OptionFault[] {
  return validateSync(group).flatMap((error) => faultsOf(name, error));
}

function faultsOf(path: string, error: ValidationError): OptionFault[] {
  const option = path === '' ? error.property : `${path}.${error.property}`;
  const { isInt, ...others } = error.constraints ?? {};
  // For a value that is not a whole number, the rules for too small and too large are left out.
  const rules = isInt === undefined ? Object.values(others) : [isInt];
  const own = rules.map((rule) => ({ option, value: error.value as unknown, rule }));
  return [...own, ...(error.children ?? []).flatMap((child) => faultsOf(option, child))];
}

const LONGEST_SHOWN = 200;

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, LONGEST_SHOWN)}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    const text = JSON.stringify(value);
    return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`;
  } catch {
    return Array.isArray(value) ? 'an array' : 'an object';
  }
}
