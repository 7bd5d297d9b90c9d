// The limits of the demo's server, for the marks on the page.

export const LIMIT = 20;
export const CROWDED = 12;
export const STALE_MS = 15_000;
