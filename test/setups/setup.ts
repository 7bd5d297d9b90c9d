import { stripVTControlCharacters } from 'node:util';

import type { NodeRelease } from '../../lab/node-releases.js';

/** A set-up that was built and can be run. */
export interface BuiltSetup {
  /** The version of `@nestjs/core` in it. */
  readonly nest: string;
  /** Runs it. Rejects with a {@link SetupError} if it does not work. */
  run(node: NodeRelease): Promise<void>;
  remove(): void;
}

/** A way to build an app with this package: a row of the table in docs/compatibility.md. */
export interface Setup {
  readonly app: string;
  /** How it is compiled, bundled or tested. */
  readonly by: string;
  /** Whether `npm test` runs it too, on the Node.js of that run. The others need a package registry. */
  readonly isInTests: boolean;
  /** If it does not work everywhere: what to do instead. */
  readonly instead?: string;
  /** Builds the app. Rejects with a {@link SetupError} if that is not possible. */
  build(node: NodeRelease): Promise<BuiltSetup>;
}

/** Why a set-up does not work: the error that its user sees. */
export class SetupError extends Error {}

/** The lines that say what went wrong, among much that a tool prints. */
const TELLING = [
  /error TS\d+: .*/,
  /Must use import to load ES Module: .*/,
  /Error \[ERR_\w+\]: .*/,
  /ERR_PNPM_\w+.*/,
  /^\s*(?:\w*Error|Error): .*/m,
];

/** Returns the error in the output of a tool, without the paths of this machine. */
export function errorIn(output: string): string {
  const colourless = stripVTControlCharacters(output);
  const found = TELLING.map((line) => line.exec(colourless)?.[0]).find((line) => line);
  const text = (found ?? colourless.trim().slice(-300)).trim();
  return text
    .replaceAll(/(?:file:\/\/)?\/[^\s'":]*(?=\/node_modules\/)/g, '…')
    .replaceAll('|', '/');
}

/** Runs a set-up on a release. Returns `undefined` if it works, and otherwise the error. */
export async function outcomeOf(
  built: Promise<BuiltSetup>,
  node: NodeRelease,
): Promise<string | undefined> {
  try {
    await (await built).run(node);
    return undefined;
  } catch (error) {
    if (error instanceof SetupError) return error.message;
    throw error;
  }
}
