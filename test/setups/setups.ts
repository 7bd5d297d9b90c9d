import { installed } from './installed.js';
import { linked } from './linked.js';
import type { Setup } from './setup.js';

/** All set-ups, in the order of the table in docs/compatibility.md. */
export const setups: readonly Setup[] = [...linked, ...installed];
