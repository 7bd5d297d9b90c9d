import { errorText } from '../errors/error-text.js';
import { lostInEmpty, lostInJson } from './json-loss.js';

/** @throws {TypeError} for an event name that is not a string */
export function assertEvent(event: unknown): void {
  if (typeof event === 'string') return;
  throw new TypeError(`Expected the name of an event to be a string, got ${typeof event}.`);
}

/**
 * Encodes a frame in the format of Nest's `WsAdapter`, `{"event", "data"}`. Returns `undefined` for data that JSON
 * cannot express: see {@link whyNoFrame}.
 *
 * @throws {TypeError} for an event name that is not a string
 */
export function encodeFrame(event: string, data: unknown): string | undefined {
  assertEvent(event);
  return encodeAnswer({ event, data });
}

/** Encodes the answer of a handler. Returns `undefined` where JSON cannot express the answer or its `data`. */
export function encodeAnswer(answer: unknown): string | undefined {
  try {
    if (lostIn(answer, lostInJson) !== undefined) return undefined;
    const text = JSON.stringify(answer);
    // Checked last, because few answers are empty.
    const isEmpty = text === '{}' || text.endsWith(EMPTY_DATA);
    return isEmpty && lostIn(answer, lostInEmpty) !== undefined ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Adds a field to the end of an encoded object, without encoding the object again. */
export function withField(text: string, name: string, value: string | number): string {
  const field = `"${name}":${JSON.stringify(value)}}`;
  return text === '{}' ? `{${field}` : `${text.slice(0, -1)},${field}`;
}

const EMPTY_DATA = '"data":{}}';

/** The error for a value without a frame. Names what JSON cannot express; where encoding threw, with the cause. */
export function whyNoFrame(value: unknown): TypeError {
  try {
    const lost = lostIn(value, lostInJson) ?? lostIn(value, lostInEmpty);
    if (lost === undefined) JSON.stringify(value);
    return inexpressible(`JSON cannot express ${lost ?? 'the value'}`);
  } catch (error) {
    return inexpressible(errorText(error), error);
  }
}

function inexpressible(what: string, cause?: unknown): TypeError {
  const options = cause === undefined ? undefined : { cause };
  return new TypeError(`${what}. Send plain objects, arrays, texts and numbers.`, options);
}

function lostIn(answer: unknown, look: (value: unknown) => string | undefined): string | undefined {
  const lost = look(answer);
  if (lost !== undefined || typeof answer !== 'object' || answer === null) return lost;
  return look((answer as { data?: unknown }).data);
}
