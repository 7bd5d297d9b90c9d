import { validateSync, type ValidationError } from 'class-validator';

import { IsolationError } from '../context/isolation-error.js';
import { environmentVariable } from './environment.js';
import type {
  OptionGroups,
  ResolvedOptions,
  WebSocketIsolationOptions,
} from './isolation.options.js';
import {
  CleanupOptions,
  HandshakeOptions,
  HeartbeatOptions,
  InboundOptions,
  LeaksOptions,
  LimitsOptions,
  OutboundOptions,
  RateOptions,
  ResumeOptions,
  ShutdownOptions,
} from './option-groups.js';

/** One option that breaks its rule. */
export interface OptionFault {
  /** For example `limits.maxManagersPerUser`. */
  readonly option: string;
  readonly value: unknown;
  readonly rule: string;
}

/** The configuration breaks rules. Names every bad option, its value and its rule. */
export class InvalidOptionsError extends IsolationError {
  /** @param of what takes the options, where it is not the module */
  constructor(
    readonly faults: readonly OptionFault[],
    of?: string,
  ) {
    const lines = faults.map(({ option, value, rule }) => {
      const variable = of === undefined ? ` (or ${environmentVariable(option)})` : '';
      return `  ${option}${variable} is ${show(value)}: ${rule}`;
    });
    const where =
      of === undefined
        ? 'WebSocketIsolationModule are not valid. Correct them in forRoot() or in the environment:'
        : `${of} are not valid. Correct them where it is called:`;
    super('INVALID_OPTIONS', `The options of ${where}\n${lines.join('\n')}`);
  }
}

const GROUPS: { [Group in keyof OptionGroups]: new () => OptionGroups[Group] } = {
  limits: LimitsOptions,
  cleanup: CleanupOptions,
  handshake: HandshakeOptions,
  inbound: InboundOptions,
  outbound: OutboundOptions,
  heartbeat: HeartbeatOptions,
  shutdown: ShutdownOptions,
  leaks: LeaksOptions,
};

/** The names of the option groups, in the order of the documentation. */
export const GROUP_NAMES = Object.keys(GROUPS) as (keyof OptionGroups)[];

const TOP_LEVEL = new Set<string>([...GROUP_NAMES, 'authenticator', 'cluster', 'clock', 'resume']);

/** The groups as they are when nobody says anything. */
export function defaultGroups(): OptionGroups {
  return Object.fromEntries(GROUP_NAMES.map((name) => [name, new GROUPS[name]()])) as never;
}

/**
 * Defaults, then the environment, then what the program says. The one place where values are refused.
 *
 * @throws {InvalidOptionsError} naming every fault at once
 */
export function resolveOptions(
  given: WebSocketIsolationOptions,
  environment: WebSocketIsolationOptions = {},
): ResolvedOptions {
  const faults: OptionFault[] = unknownOptions(given);
  const groups = defaultGroups();
  for (const name of GROUP_NAMES) {
    const group = groups[name] as unknown as Record<string, unknown>;
    assignDefined(group, environment[name]);
    assignDefined(group, given[name]);
    adoptRate(group);
    faults.push(...groupFaults(name, group));
    Object.freeze(group);
  }
  const resume = adoptResume(environment.resume, given.resume);
  if (resume) faults.push(...groupFaults('resume', resume));
  const { authenticator, cluster } = given;
  if (authenticator !== undefined && typeof authenticator !== 'function') {
    const rule = 'must be a provider class or a function';
    faults.push({ option: 'authenticator', value: authenticator, rule });
  }
  if (cluster !== undefined && typeof cluster?.create !== 'function') {
    const rule = 'must be a cluster, for example redisCluster({ url })';
    faults.push({ option: 'cluster', value: cluster, rule });
  }
  if (faults.length > 0) throw new InvalidOptionsError(faults);
  return Object.freeze({ ...groups, authenticator, cluster, resume });
}

function unknownOptions(given: object): OptionFault[] {
  return Object.keys(given)
    .filter((name) => !TOP_LEVEL.has(name))
    .map((option) => ({
      option,
      value: (given as Record<string, unknown>)[option],
      rule: 'there is no such option',
    }));
}

/** Spreading would let an explicit `undefined` beat a default. */
export function assignDefined(target: Record<string, unknown>, source: object | undefined): void {
  for (const [key, value] of Object.entries(source ?? {})) {
    if (value !== undefined) target[key] = value;
  }
}

function adoptRate(group: Record<string, unknown>): void {
  const { rate } = group;
  if (typeof rate !== 'object' || rate === null) return;
  const adopted = new RateOptions();
  assignDefined(adopted as unknown as Record<string, unknown>, rate);
  group['rate'] = adopted;
}

function adoptResume(...sources: readonly (object | undefined)[]): ResumeOptions | undefined {
  if (sources.every((source) => source === undefined)) return undefined;
  const adopted = new ResumeOptions();
  for (const source of sources) {
    assignDefined(adopted as unknown as Record<string, unknown>, source);
  }
  return Object.freeze(adopted);
}

/** What breaks the rules in an object whose properties carry them. `name` stands before each, where there is one. */
export function groupFaults(name: string, group: object): OptionFault[] {
  const errors = validateSync(group, { whitelist: true, forbidNonWhitelisted: true });
  return errors.flatMap((error) => faultsOf(name, error));
}

function faultsOf(path: string, error: ValidationError): OptionFault[] {
  const option = path === '' ? error.property : `${path}.${error.property}`;
  const { whitelistValidation, ...constraints } = error.constraints ?? {};
  const rules = whitelistValidation ? ['there is no such option'] : Object.values(constraints);
  const own = rules.map((rule) => ({ option, value: error.value as unknown, rule }));
  return [...own, ...(error.children ?? []).flatMap((child) => faultsOf(option, child))];
}

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
