import { environmentVariable } from './environment.js';
import { defaultGroups, NESTED_GROUPS, WITHOUT_VARIABLE } from './groups.js';
import { ResumeOptions } from './option-groups.js';

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
  const options = Object.entries(groups).flatMap(([group, defaults]) =>
    Object.keys(defaults as object).map((name) => `${group}.${name}`),
  );
  return options.filter((option) => !WITHOUT_VARIABLE.has(option)).flatMap(partsOf);
}

// A group inside of a group has a variable for each of its parts.
function partsOf(option: string): string[] {
  const Nested = NESTED_GROUPS[option];
  if (!Nested) return [option];
  return Object.keys(new Nested()).flatMap((part) => partsOf(`${option}.${part}`));
}
