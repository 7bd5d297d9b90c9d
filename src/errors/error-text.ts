/** Whatever somebody has thrown, as text. Never throws itself, whatever that was. */
export function errorText(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'something that cannot be written as text';
  }
}

/** Where an error was made; `undefined` for what is no error, or does not say. */
export function stackOf(error: unknown): string | undefined {
  try {
    return error instanceof Error ? error.stack : undefined;
  } catch {
    return undefined;
  }
}
