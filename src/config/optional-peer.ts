import { IsolationError } from '../errors/isolation-error.js';

/**
 * Loads a package that only one entry point needs. The package is loaded when the application starts, and not when the
 * entry point is imported: Node's error for a failed import names neither the entry point nor the remedy.
 *
 * @throws {IsolationError} `PEER_MISSING`, with the command that installs it
 */
export async function optionalPeer<T>(
  entryPoint: string,
  name: string,
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!isMissing(error, name)) throw error;
    throw new IsolationError(
      'PEER_MISSING',
      `nestjs-websocket-isolation/${entryPoint} needs the package ${name}, which is not installed. ` +
        `Run: npm install ${name}`,
      { cause: error },
    );
  }
}

// Whether the package itself is missing. For a missing dependency of the package, the original error names it.
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const isNotFound = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  return isNotFound && String(message).includes(`'${name}'`);
}
