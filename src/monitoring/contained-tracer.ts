import { Logger } from '@nestjs/common';

import { errorText } from '../errors/error-text.js';
import type { TracedHandshake, TracedSend, TracedStep, TracedStream, Tracer } from './tracer.js';

type Report = (error: unknown) => void;

/**
 * Wraps a tracer so that it cannot break the traced work: its errors are logged, but not the same text twice in a row.
 */
export function containedTracer(tracer: Tracer): Tracer {
  const logger = new Logger('WebSocketIsolation');
  let latest: string | undefined;
  const report: Report = (error) => {
    const text = errorText(error);
    if (text === latest) return;
    latest = text;
    logger.error(`The tracer failed; spans are missing: ${text}`);
  };
  return {
    handshake: (...of) =>
      containedHandshake(
        attempt(report, () => tracer.handshake(...of)),
        report,
      ),
    connect: (...of) =>
      containedStep(
        attempt(report, () => tracer.connect(...of)),
        report,
      ),
    renewal: (...of) =>
      containedStep(
        attempt(report, () => tracer.renewal(...of)),
        report,
      ),
    message: (...of) =>
      containedStep(
        attempt(report, () => tracer.message(...of)),
        report,
      ),
    stream: (...of) =>
      containedStream(
        attempt(report, () => tracer.stream(...of)),
        report,
      ),
    ask: (...of) =>
      containedStep(
        attempt(report, () => tracer.ask(...of)),
        report,
      ),
    send: (...of) =>
      containedSend(
        attempt(report, () => tracer.send(...of)),
        report,
      ),
  };
}

function attempt<T>(report: Report, act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    report(error);
    return undefined;
  }
}

function containedStep(step: TracedStep | undefined, report: Report): TracedStep {
  return {
    run: (part) => runOnce(step, part, report),
    fail: (error) => attempt(report, () => step?.fail(error)),
    end: () => attempt(report, () => step?.end()),
  };
}

function containedStream(stream: TracedStream | undefined, report: Report): TracedStream {
  return {
    run: (part) => runOnce(stream, part, report),
    fail: (error) => attempt(report, () => stream?.fail(error)),
    ended: (...how) => attempt(report, () => stream?.ended(...how)),
  };
}

function containedSend(send: TracedSend | undefined, report: Report): TracedSend {
  return {
    run: (part) => runOnce(send, part, report),
    ended: (sent) => attempt(report, () => send?.ended(sent)),
    failed: (error) => attempt(report, () => send?.failed(error)),
  };
}

function containedHandshake(
  handshake: TracedHandshake | undefined,
  report: Report,
): TracedHandshake {
  return {
    run: (part) => runOnce(handshake, part, report),
    admitted: (manager) => attempt(report, () => handshake?.admitted(manager)),
    refused: (...answer) => attempt(report, () => handshake?.refused(...answer)),
    gone: () => attempt(report, () => handshake?.gone()),
  };
}

// The part runs once, whatever the tracer does around it. An error of the part itself is thrown to the caller.
function runOnce<T>(step: Pick<TracedStep, 'run'> | undefined, part: () => T, report: Report): T {
  let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
  const run = (): T => {
    try {
      const value = part();
      outcome = { value };
      return value;
    } catch (error) {
      outcome = { error };
      throw error;
    }
  };
  try {
    step?.run(run);
  } catch (error) {
    if (!outcome || !('error' in outcome) || outcome.error !== error) report(error);
  }
  if (!outcome) return part();
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}
