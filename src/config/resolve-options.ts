import { codecsOf } from './codec-option.js';
import { VARIABLE_PREFIX } from './environment.js';
import { defaultGroups, GROUP_NAMES, NESTED_GROUPS } from './groups.js';
import type { ResolvedOptions, WebSocketIsolationOptions } from './isolation.options.js';
import {
  adopt,
  groupFaults,
  InvalidOptionsError,
  type OptionFault,
  unknownName,
} from './option-faults.js';
import { ResumeOptions } from './option-groups.js';
import { VARIABLE_NAMES } from './variables.js';

const TOP_LEVEL = new Set<string>([
  ...GROUP_NAMES,
  'authenticator',
  'cluster',
  'clock',
  'resume',
  'codec',
]);

const CLOCK_METHODS = ['now', 'epoch', 'after', 'every'] as const;

/**
 * Merges the defaults, then the environment, then the options of the program. The one place that validates the values.
 *
 * @throws {InvalidOptionsError} naming every fault at once
 */
export function resolveOptions(
  given: WebSocketIsolationOptions,
  environment: WebSocketIsolationOptions = {},
): ResolvedOptions {
  assertObject(given);
  const faults: OptionFault[] = Object.keys(given)
    .filter((name) => !TOP_LEVEL.has(name))
    .map((name) => unknownName('option', name, undefined, TOP_LEVEL));
  const groups = defaultGroups();
  for (const name of GROUP_NAMES) {
    const group = groups[name];
    faults.push(...adopt(group, `${name}.`, environment[name]));
    faults.push(...adopt(group, `${name}.`, given[name]));
    const sources = [environment[name], given[name]];
    faults.push(...adoptNested(name, group as unknown as Record<string, unknown>, sources));
    faults.push(...groupFaults(name, group));
    Object.freeze(group);
  }
  const resume = adoptResume(faults, environment.resume, given.resume);
  const { authenticator, cluster } = given;
  faults.push(...faultsOfObjects(given));
  const { codecs: codec, faults: codecFaults } = codecsOf(
    given.codec,
    groups.handshake.credentialProtocols,
  );
  faults.push(...codecFaults);
  if (faults.length > 0) throw new InvalidOptionsError(faults);
  return Object.freeze({ ...groups, authenticator, cluster, codec, resume });
}

/**
 * Refuses variables with the prefix of this library that no option has: most likely they are misspelled. Variables with
 * another prefix belong to other programs.
 *
 * @throws {InvalidOptionsError} naming all of them, each with the variable that was probably meant
 */
export function assertKnownVariables(environment: NodeJS.ProcessEnv): void {
  const unknown = Object.keys(environment).filter((name) => {
    // The names of variables are case-insensitive on Windows.
    const spelled = process.platform === 'win32' ? name.toUpperCase() : name;
    return name.toUpperCase().startsWith(VARIABLE_PREFIX) && !VARIABLE_NAMES.has(spelled);
  });
  if (unknown.length === 0) return;
  throw new InvalidOptionsError(
    unknown.map((name) => unknownName('variable', name, undefined, VARIABLE_NAMES)),
  );
}

function assertObject(given: unknown): void {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return;
  const rule =
    'pass an object to forRoot(), or return one from useFactory or createWebSocketIsolationOptions(); {} means all defaults';
  throw new InvalidOptionsError([{ option: 'options', value: given, rule }]);
}

function faultsOfObjects({
  authenticator,
  cluster,
  clock,
}: WebSocketIsolationOptions): OptionFault[] {
  const faults: OptionFault[] = [];
  if (authenticator !== undefined && typeof authenticator !== 'function') {
    const rule = 'must be a provider class or a function';
    faults.push({ option: 'authenticator', value: authenticator, rule });
  }
  if (cluster !== undefined && typeof cluster?.create !== 'function') {
    const rule = 'must be a cluster, for example redisCluster({ url })';
    faults.push({ option: 'cluster', value: cluster, rule });
  }
  if (clock !== undefined && !CLOCK_METHODS.every((name) => typeof clock?.[name] === 'function')) {
    const rule = `must be a clock, with the methods ${CLOCK_METHODS.join(', ')}`;
    faults.push({ option: 'clock', value: clock, rule });
  }
  return faults;
}

function adoptNested(
  groupName: string,
  group: Record<string, unknown>,
  sources: readonly (object | undefined)[],
): OptionFault[] {
  return Object.keys(group).flatMap((name) => {
    const path = `${groupName}.${name}`;
    const Nested = NESTED_GROUPS[path];
    if (!Nested || group[name] === undefined) return [];
    const adopted = new Nested();
    const given = sources.map((source) => partOf(source, name));
    const faults = given.flatMap((source) => adopt(adopted, `${path}.`, source));
    faults.push(...adoptNested(path, adopted as Record<string, unknown>, given));
    // The faults of its parts would only repeat this fault.
    group[name] = faults.some(({ option }) => option === path) ? undefined : adopted;
    return faults;
  });
}

function partOf(source: unknown, name: string): object | undefined {
  return ((source ?? {}) as Record<string, object | undefined>)[name];
}

function adoptResume(
  faults: OptionFault[],
  ...sources: readonly (object | undefined)[]
): ResumeOptions | undefined {
  if (sources.every((source) => source === undefined)) return undefined;
  const adopted = new ResumeOptions();
  for (const source of sources) faults.push(...adopt(adopted, 'resume.', source));
  faults.push(...groupFaults('resume', adopted));
  return Object.freeze(adopted);
}
