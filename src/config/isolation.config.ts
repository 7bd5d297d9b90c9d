import { registerAs } from '@nestjs/config';

import { asList, environmentVariable, parseVariable } from './environment.js';
import { defaultGroups, GROUP_NAMES, NESTED_GROUPS, WITHOUT_VARIABLE } from './groups.js';
import type { WebSocketIsolationOptions } from './isolation.options.js';
import { ResumeOptions } from './option-groups.js';

/**
 * The options from the environment: `WS_ISOLATION_<GROUP>_<OPTION>`, for example
 * `WS_ISOLATION_LIMITS_MAX_MANAGERS_PER_USER=50`. Lists are separated by commas. The module loads this configuration by
 * itself; options in the program take precedence over it.
 */
export const websocketIsolationConfig = registerAs(
  'websocketIsolation',
  (): WebSocketIsolationOptions => {
    const options: Record<string, Record<string, unknown>> = {};
    const defaults = defaultGroups();
    for (const group of GROUP_NAMES) {
      options[group] = readGroup(group, defaults[group] as unknown as Record<string, unknown>);
    }
    const resume = readGroup('resume', new ResumeOptions() as unknown as Record<string, unknown>);
    return Object.keys(resume).length > 0 ? { ...options, resume } : options;
  },
);

// Options whose variable cannot be parsed as the type of their default.
const SPECIAL: Readonly<Record<string, (option: string) => unknown>> = {
  'handshake.allowedOrigins': (option) => readOrigins(option),
  'handshake.allowMissingOrigin': (option) => read(option, true),
  'handshake.trustProxy': (option) => readTrustProxy(option),
};

function readGroup(group: string, defaults: Record<string, unknown>): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, example] of Object.entries(defaults)) {
    const option = `${group}.${name}`;
    if (WITHOUT_VARIABLE.has(option)) continue;
    const special = SPECIAL[option] ?? (NESTED_GROUPS[option] && readNested);
    const value = special ? special(option) : read(option, example);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function read(option: string, example: unknown): unknown {
  const text = process.env[environmentVariable(option)];
  return text === undefined ? undefined : parseVariable(text, example);
}

function readOrigins(option: string): unknown {
  const text = process.env[environmentVariable(option)];
  if (text === undefined || text === '*' || text === 'same-origin') return text;
  return asList(text);
}

function readTrustProxy(option: string): unknown {
  const text = process.env[environmentVariable(option)];
  if (text === undefined) return undefined;
  return /^\s*\d+\s*$/.test(text) ? Number(text) : asList(text);
}

function readNested(option: string): unknown {
  const entries = Object.keys(new NESTED_GROUPS[option]!())
    .map((name) => [name, `${option}.${name}`] as const)
    .map(([name, part]) => [name, NESTED_GROUPS[part] ? readNested(part) : read(part, 1)])
    .filter(([, value]) => value !== undefined);
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}
