import type { Scenario } from '../scenario.js';
import { answers } from './answers.js';
import { apps } from './apps.js';
import { enhancers } from './enhancers.js';
import { filters } from './filters.js';
import { frameScenarios } from './frames.js';
import { gateways } from './gateways.js';
import { hooks } from './hooks.js';
import { lifeCycle } from './life-cycle.js';
import { parameters } from './parameters.js';
import { serverOptions } from './server-options.js';

export const scenarios: readonly Scenario[] = [
  ...answers,
  ...frameScenarios,
  ...parameters,
  ...gateways,
  ...filters,
  ...hooks,
  ...enhancers,
  ...serverOptions,
  ...apps,
  ...lifeCycle,
];
