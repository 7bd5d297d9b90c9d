import type { HandshakeOptions } from '../config/handshake-options.js';
import type { HandshakeOutcome } from '../handshake/handshake-attempt.js';
import { refusalWay } from '../handshake/refusal.js';
import type { TracedHandshake } from '../monitoring/tracer.js';

/** Ends the trace of a handshake. */
export function endTrace(
  traced: TracedHandshake,
  outcome: HandshakeOutcome,
  rejectWith: HandshakeOptions['rejectWith'],
): void {
  if (outcome === 'gone') traced.gone();
  else if ('refusal' in outcome) {
    const { refusal } = outcome;
    const { reason, status, code } = refusal;
    const isClosed = refusalWay(rejectWith, refusal) === 'close';
    traced.refused({ reason, status, ...(isClosed && { closeCode: code }) });
  } else traced.admitted(outcome.manager);
}
