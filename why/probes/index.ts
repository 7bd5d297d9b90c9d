import type { Probe } from '../probe.js';
import {
  classGuard,
  earlyMessage,
  rejectingConnect,
  scopedAppGuard,
  throwingDisconnect,
} from './hooks.js';
import { contextIdStrategy, doubledSchedules, missingDispose } from './scope.js';
import { closeCode, unawaitedDisconnect } from './shutdown.js';
import {
  foreignOrigin,
  hugeMessage,
  otherLibrary,
  stoppedReader,
  unboundedHandlers,
} from './traffic.js';

/** All probes, in the order of a connection's life. */
export const probes = {
  foreignOrigin,
  classGuard,
  rejectingConnect,
  earlyMessage,
  scopedAppGuard,
  contextIdStrategy,
  unboundedHandlers,
  hugeMessage,
  stoppedReader,
  throwingDisconnect,
  missingDispose,
  closeCode,
  unawaitedDisconnect,
  doubledSchedules,
  otherLibrary,
} satisfies Record<string, Probe>;

export type ProbeName = keyof typeof probes;
