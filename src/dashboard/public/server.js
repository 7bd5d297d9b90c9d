// The only module that sends requests to the server. URLs are relative to this file, so any prefix works.

const random = crypto.getRandomValues(new Uint32Array(4));
const viewer = [...random].map((part) => part.toString(36)).join('-');

/** An error response: the message for the viewer, and whether a retry is pointless. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  get isFinal() {
    return this.status === 401 || this.status === 403;
  }
}

const REASONS = {
  401: 'You are signed out. Sign in and load the page again.',
  403: 'You may not see this any more. Load the page again.',
  429: 'Too many requests. Trying again in a moment.',
  503: 'Too many dashboards are open already. Trying again in a moment.',
};

async function read(response) {
  if (response.ok) return response.json();
  const body = await response.json().catch(() => ({}));
  const known = REASONS[response.status] ?? `The server responded with status ${response.status}.`;
  throw new Refused(response.status, response.status === 400 ? (body.message ?? known) : known);
}

/** Requests data. Gives up after ten seconds, or when the signal aborts. */
export async function ask(name, query = {}, signal) {
  const url = new URL(name, import.meta.url);
  url.search = new URLSearchParams({ viewer, ...query }).toString();
  const deadline = AbortSignal.timeout(10_000);
  const either = signal ? AbortSignal.any([signal, deadline]) : deadline;
  return read(await fetch(url, { signal: either, headers: { accept: 'application/json' } }));
}

/** Sends an action of a viewer who may act. */
export async function act(token, request) {
  const response = await fetch(new URL('actions', import.meta.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-dashboard-token': token },
    body: JSON.stringify(request),
  });
  return read(response);
}
