import type { Scenario } from '../scenario.js';
import { answers } from './answers.js';

export const scenarios: readonly Scenario[] = [...answers];
