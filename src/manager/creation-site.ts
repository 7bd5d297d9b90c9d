// Kept beside the managers, so that they take no memory for it while `leaks.captureCreationSite` is off.
const sites = new WeakMap<object, string | undefined>();

/** Notes the stack that created a manager. */
export function noteCreationSite(manager: object, stack: string | undefined): void {
  sites.set(manager, stack);
}

/** The stack that created a manager, if `leaks.captureCreationSite` was on. */
export function creationSiteOf(manager: object): string | undefined {
  return sites.get(manager);
}
