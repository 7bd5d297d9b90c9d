import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { IsolationError } from '../errors/isolation-error.js';

// Code that was bundled to CommonJS does not know where it is.
const OWN_ROOT = URL.canParse('..', import.meta.url)
  ? fileURLToPath(new URL('..', import.meta.url))
  : undefined;
const FRAME = /(?:\(|at (?:async )?)((?:file:\/\/)?[^\s()]+):\d+:\d+\)?$/;

/**
 * Compares the copy of `@nestjs/core` that the caller's file resolves with the copy that this library resolves. With
 * two copies, Nest's tokens exist twice and nothing can be injected; Nest's own message then names an unrelated
 * provider.
 *
 * @throws {IsolationError} `DUPLICATE_NEST_CORE`; the message names the fix
 */
export function assertOneCopyOfCore(): void {
  const caller = callerFile();
  const theirs = caller && coreSeenFrom(caller);
  const ours = coreSeenFrom(import.meta.url);
  if (theirs && ours && theirs !== ours) throw twoCopiesOfCore();
}

/** Returns the error for an application in which two copies of `@nestjs/core` are loaded. */
export function twoCopiesOfCore(): IsolationError {
  return new IsolationError(
    'DUPLICATE_NEST_CORE',
    'Two copies of @nestjs/core are loaded: the application uses one, nestjs-websocket-isolation another. ' +
      'Run `npm ls @nestjs/core`, bring all Nest packages to one version, and run `npm dedupe`.',
  );
}

// Bundled code has no files to resolve from, and no second copy either.
function coreSeenFrom(file: string): string | undefined {
  try {
    return createRequire(file).resolve('@nestjs/core');
  } catch {
    return undefined;
  }
}

function callerFile(): string | undefined {
  if (OWN_ROOT === undefined) return undefined;
  const frames = new Error('where from').stack?.split('\n') ?? [];
  const files = frames.flatMap((frame) => FRAME.exec(frame)?.[1] ?? []);
  const paths = files.map((file) => (file.startsWith('file:') ? fileURLToPath(file) : file));
  return paths.find((path) => !path.startsWith(OWN_ROOT) && !path.startsWith('node:'));
}
