import { nestVersion, ownVersion } from '../module/versions.js';
import type { Labels } from './metric-value.js';

/** The labels of the metric `build_info`. */
export function buildInfo(adapter: string): Labels {
  return { version: ownVersion, nest_version: nestVersion, node_version: process.version, adapter };
}
