import { InvalidOptionsError, type OptionFault, unknownName } from './option-faults.js';

/** Returns the rule that a value breaks; `undefined` for a valid value. An option that is left out is not checked. */
export type ValueRule = (value: unknown) => string | undefined;

/** The options of an entry point, each with its rule. */
export type OptionRules<Options> = { readonly [Name in keyof Required<Options>]: ValueRule };

/** Every fault of the options of an entry point: unknown names, and values that break their rule. */
export function plainFaults<Options>(given: unknown, rules: OptionRules<Options>): OptionFault[] {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return [{ option: 'options', value: given, rule: 'must be an object of options' }];
  }
  return Object.entries(given).flatMap(([option, value]) => {
    if (!Object.hasOwn(rules, option)) {
      return [unknownName('option', option, value, Object.keys(rules))];
    }
    if (value === undefined) return [];
    const rule = (rules as Record<string, ValueRule>)[option]!(value);
    return rule === undefined ? [] : [{ option, value, rule }];
  });
}

/** @throws {InvalidOptionsError} with all of {@link plainFaults} */
export function assertPlainOptions<Options>(
  of: string,
  given: unknown,
  rules: OptionRules<Options>,
): void {
  const faults = plainFaults(given, rules);
  if (faults.length > 0) throw new InvalidOptionsError(faults, of);
}

const must = (isRight: (value: unknown) => boolean, rule: string): ValueRule => {
  return (value) => (isRight(value) ? undefined : rule);
};

export const anything: ValueRule = () => undefined;
export const trueOrFalse: ValueRule = must(
  (value) => typeof value === 'boolean',
  'must be true or false',
);
export const aFunction: ValueRule = must(
  (value) => typeof value === 'function',
  'must be a function or a class',
);
export const anArray: ValueRule = must((value) => Array.isArray(value), 'must be an array');
export const aPath: ValueRule = must(
  (value) => typeof value === 'string' && value.trim() !== '',
  'must be a path, such as `ops/sockets`',
);
export const aText: ValueRule = must((value) => typeof value === 'string', 'must be a string');
export const wholeNumberFromOne: ValueRule = must(
  (value) => Number.isSafeInteger(value) && (value as number) >= 1,
  'must be a whole number from 1',
);
export const share: ValueRule = must(
  (value) => typeof value === 'number' && value > 0 && value <= 1,
  'must be a number above 0 and at most 1',
);
export const durationMs: ValueRule = must(
  (value) => typeof value === 'number' && Number.isFinite(value) && value > 0,
  'must be a number of milliseconds above 0',
);

/** An object with these methods. */
export const withMethods = (what: string, ...methods: readonly string[]): ValueRule =>
  must((value) => {
    const object = (value ?? {}) as Record<string, unknown>;
    return methods.every((method) => typeof object[method] === 'function');
  }, `must be ${what}`);
