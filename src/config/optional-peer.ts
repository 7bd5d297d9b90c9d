import { IsolationError } from '../errors/isolation-error.js';

/**
 * Loads a package that only one entry point needs. It is loaded when the application starts, and not when the entry
 * point is imported: Node's own error for that says neither who needs the package nor what to do.
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

// Of the package itself. One of its own dependencies is another matter, and its error says which.
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const isNotFound = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  return isNotFound && String(message).includes(`'${name}'`);
}
