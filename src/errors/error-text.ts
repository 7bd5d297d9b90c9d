/** The text of a thrown value, which may be anything. Never throws. */
export function errorText(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'a thrown value that cannot be converted to text';
  }
}

/** The stack of an error; `undefined` for a value that is not an Error or whose stack cannot be read. */
export function stackOf(error: unknown): string | undefined {
  try {
    return error instanceof Error ? error.stack : undefined;
  } catch {
    return undefined;
  }
}
