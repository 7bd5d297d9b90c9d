import type { IncomingMessage } from 'node:http';

import type { PathParams } from '../config/isolation.options.js';
import { errorText, stackOf } from '../errors/error-text.js';

/** Characters of the shortest text that is redacted: a shorter one occurs in a text by chance. */
const SHORTEST = 6;

/**
 * Returns the error without the credentials of the request, so that it may be logged. Authenticators often quote a
 * token that they could not read. Never throws: an error may have getters that do.
 */
export function withoutCredentials(error: unknown, request: IncomingMessage): unknown {
  try {
    return redacted(error, request);
  } catch {
    return 'an error that cannot be read';
  }
}

function redacted(error: unknown, request: IncomingMessage): unknown {
  const credentials = credentialsOf(request);
  const clean = (text: string): string =>
    credentials.reduce((cleaned, credential) => cleaned.replaceAll(credential, '[redacted]'), text);
  if (typeof error === 'string') return clean(error);
  if (!(error instanceof Error)) return error;
  const [text, trace = ''] = [errorText(error), stackOf(error)];
  const [message, stack] = [clean(text), clean(trace)];
  if (message === text && stack === trace) return error;
  return Object.assign(new Error(message), { name: error.name, stack });
}

function credentialsOf(request: IncomingMessage & { params?: PathParams }): string[] {
  const { url = '', headers, params = {} } = request;
  const query = url.slice(url.indexOf('?') + 1);
  const { authorization = '', cookie = '' } = headers;
  const protocol = headers['sec-websocket-protocol'] ?? '';
  const found = [
    ...query.split('&').map(valueOf),
    ...new URLSearchParams(query).values(),
    ...Object.values(params),
    ...authorization.split(' ').slice(1),
    ...cookie.split(';').map(valueOf),
    ...protocol.split(','),
  ].map((text) => text.trim());
  const longestFirst = found.toSorted((a, b) => b.length - a.length);
  return longestFirst.filter((text) => text.length >= SHORTEST);
}

function valueOf(pair: string): string {
  return pair.slice(pair.indexOf('=') + 1);
}
