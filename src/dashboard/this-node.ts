import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import { nestVersion, ownVersion } from '../module/versions.js';

/** The process that responds, and its versions. */
export interface NodeFacts {
  /** New at every start of a process: a page detects by it that another process responds. */
  readonly id: string;
  readonly name: string;
  readonly versions: { readonly library: string; readonly nest: string; readonly node: string };
  readonly uptimeMs: number;
}

const id = randomUUID();
const versions = { library: ownVersion, nest: nestVersion, node: process.versions.node };

export function thisNode(): NodeFacts {
  const name = `${hostname()}:${process.pid}`;
  return { id, name, versions, uptimeMs: process.uptime() * 1000 };
}
