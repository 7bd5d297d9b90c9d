import type { HandshakeOutcome } from '../handshake/handshake-attempt.js';
import type { TracedHandshake } from '../monitoring/tracer.js';

/** Ends the trace of a handshake. */
export function endTrace(
  traced: TracedHandshake,
  outcome: HandshakeOutcome,
  rejectWith: 'http' | 'close',
): void {
  if (outcome === 'gone') traced.gone();
  else if ('refusal' in outcome) {
    const { reason, status, code } = outcome.refusal;
    traced.refused({ reason, status, ...(rejectWith === 'close' && { closeCode: code }) });
  } else traced.admitted(outcome.manager);
}
