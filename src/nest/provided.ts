interface Inside {
  readonly container?: {
    getModules?(): ReadonlyMap<string, { readonly providers: ReadonlyMap<unknown, unknown> }>;
  };
}

/**
 * Whether an application provides a token; `undefined` where that cannot be found out. Not with `app.get()`: where the
 * token is missing, Nest logs its own error and ends the process, also inside of a `try`.
 */
export function isProvided(app: object, token: unknown): boolean | undefined {
  const modules = (app as Inside).container?.getModules?.();
  return modules && [...modules.values()].some(({ providers }) => providers.has(token));
}
