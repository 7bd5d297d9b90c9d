const PREFIX = 'WS_ISOLATION';

/** The prefix of all environment variables of this library. */
export const VARIABLE_PREFIX = `${PREFIX}_`;

/** The variable of an option: `limits.maxManagersPerUser` is `WS_ISOLATION_LIMITS_MAX_MANAGERS_PER_USER`. */
export function environmentVariable(option: string): string {
  const words = option
    .split('.')
    .map((part) => part.replaceAll(/([a-z])([A-Z])/g, '$1_$2').toUpperCase());
  return [PREFIX, ...words].join('_');
}

/** Parses a variable as the type of the option's default. A text that does not fit is left for validation to refuse. */
export function parseVariable(text: string, example: unknown): unknown {
  if (typeof example === 'number') return text.trim() === '' ? Number.NaN : asNumber(text);
  if (typeof example === 'boolean') return asBoolean(text);
  if (Array.isArray(example)) return asList(text);
  return text;
}

function asNumber(text: string): unknown {
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

function asBoolean(text: string): unknown {
  if (text === 'true') return true;
  return text === 'false' ? false : text;
}

/** Splits a comma-separated list. */
export function asList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
