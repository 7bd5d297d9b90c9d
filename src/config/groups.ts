import { AddressLimits, AdmissionOptions } from './admission-options.js';
import type { OptionGroups } from './isolation.options.js';
import { HandshakeOptions } from './handshake-options.js';
import {
  CleanupOptions,
  HeartbeatOptions,
  LeaksOptions,
  LimitsOptions,
  OutboundOptions,
  ShutdownOptions,
} from './option-groups.js';
import { InboundOptions, RateOptions } from './inbound-options.js';
import { TopicHistoryOptions, TopicsOptions } from './topics-options.js';

const GROUPS: { [Group in keyof OptionGroups]: new () => OptionGroups[Group] } = {
  limits: LimitsOptions,
  cleanup: CleanupOptions,
  handshake: HandshakeOptions,
  inbound: InboundOptions,
  outbound: OutboundOptions,
  heartbeat: HeartbeatOptions,
  shutdown: ShutdownOptions,
  topics: TopicsOptions,
  leaks: LeaksOptions,
};

/** Groups inside of groups, an outer one before its inner ones. They are off unless they are given. */
export const NESTED_GROUPS: Readonly<Record<string, new () => object>> = {
  'handshake.admission': AdmissionOptions,
  'handshake.admission.perAddress': AddressLimits,
  'inbound.rate': RateOptions,
  'topics.history': TopicHistoryOptions,
};

/** Options in groups that only a program can set. */
export const WITHOUT_VARIABLE: ReadonlySet<string> = new Set(['topics.authorizer']);

/** The names of the option groups, in the order of the documentation. */
export const GROUP_NAMES = Object.keys(GROUPS) as (keyof OptionGroups)[];

/** The groups with all defaults. */
export function defaultGroups(): OptionGroups {
  return Object.fromEntries(GROUP_NAMES.map((name) => [name, new GROUPS[name]()])) as never;
}
