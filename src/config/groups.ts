import type { OptionGroups } from './isolation.options.js';
import {
  CleanupOptions,
  HandshakeOptions,
  HeartbeatOptions,
  InboundOptions,
  LeaksOptions,
  LimitsOptions,
  OutboundOptions,
  ShutdownOptions,
} from './option-groups.js';

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

/** The groups with all defaults. */
export function defaultGroups(): OptionGroups {
  return Object.fromEntries(GROUP_NAMES.map((name) => [name, new GROUPS[name]()])) as never;
}
