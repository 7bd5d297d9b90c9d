import { environmentVariable } from './environment.js';
import { defaultGroups } from './groups.js';
import { RateOptions, ResumeOptions } from './option-groups.js';

/** Every option that a variable can set, with the name of its variable. */
const VARIABLES: ReadonlyMap<string, string> = new Map(
  optionPaths().map((option) => [option, environmentVariable(option)]),
);

/** The variable that sets an option; `undefined` where only the program can set it. */
export function variableOf(option: string): string | undefined {
  return VARIABLES.get(option);
}

/** The names of all variables. */
export const VARIABLE_NAMES: ReadonlySet<string> = new Set(VARIABLES.values());

function optionPaths(): string[] {
  const groups = { ...defaultGroups(), resume: new ResumeOptions() };
  const rate = Object.keys(new RateOptions());
  return Object.entries(groups).flatMap(([group, options]) =>
    Object.keys(options as object).flatMap((name) =>
      // A rate has a variable for each of its parts.
      name === 'rate' ? rate.map((part) => `${group}.rate.${part}`) : [`${group}.${name}`],
    ),
  );
}
