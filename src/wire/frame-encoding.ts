import { errorText } from '../errors/error-text.js';
import { lostInEmpty, lostInJson } from './json-loss.js';
import type { TextFrame } from './text-frame.js';

/** A message that is ready to be sent: its text, or for several receivers the bytes of the wire. */
export type Frame = string | TextFrame;

/** @throws {TypeError} for a name of an event that is no text */
export function assertEvent(event: unknown): void {
  if (typeof event === 'string') return;
  throw new TypeError(`Expected the name of an event to be a text, got ${typeof event}.`);
}

/**
 * The stock client's frame, `{"event", "data"}`, or `undefined` for data that JSON cannot express: see
 * {@link whyNoFrame}.
 *
 * @throws {TypeError} for a name of an event that is no text
 */
export function encodeFrame(event: string, data: unknown): string | undefined {
  assertEvent(event);
  return encodeAnswer({ event, data });
}

/** The answer of a handler as a frame; `undefined` for one that JSON cannot express, itself or its `data`. */
export function encodeAnswer(answer: unknown): string | undefined {
  try {
    if (lostIn(answer, lostInJson) !== undefined) return undefined;
    const text = JSON.stringify(answer);
    // Looked at last, since nearly nothing is empty.
    const isEmpty = text === '{}' || text.endsWith(EMPTY_DATA);
    return isEmpty && lostIn(answer, lostInEmpty) !== undefined ? undefined : text;
  } catch {
    return undefined;
  }
}

const EMPTY_DATA = '"data":{}}';

/** Why there is no frame: says what of the value JSON cannot express, with the cause where it threw. */
export function whyNoFrame(value: unknown): TypeError {
  try {
    const lost = lostIn(value, lostInJson) ?? lostIn(value, lostInEmpty);
    if (lost === undefined) JSON.stringify(value);
    return inexpressible(`JSON cannot express ${lost ?? 'it'}`);
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
