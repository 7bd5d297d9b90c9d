import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import { nestVersion, ownVersion } from '../module/versions.js';

/** Which process answers, and what it runs. */
export interface NodeFacts {
  /** Different for every start of a process: tells a page that it talks to another one. */
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
