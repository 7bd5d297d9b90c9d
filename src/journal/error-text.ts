/** Whatever somebody has thrown, as text. Never throws itself, whatever that was. */
export function errorText(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'something that cannot be written as text';
  }
}
