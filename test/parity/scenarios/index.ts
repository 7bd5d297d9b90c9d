import type { Scenario } from '../scenario.js';
import { answers } from './answers.js';
import { enhancers } from './enhancers.js';

export const scenarios: readonly Scenario[] = [...answers, ...enhancers];
