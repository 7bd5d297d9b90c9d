// The limits of the demo's server, which the page shows as marks.

export const LIMIT = 20;
export const CROWDED = 12;
export const STALE_MS = 15_000;
