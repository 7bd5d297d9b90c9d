import type { HandshakeOutcome } from '../handshake/handshake-attempt.js';
import type { TracedHandshake } from '../monitoring/tracer.js';

/** Ends the trace of a handshake. @param address of the client, as `handshake.logAddresses` shows it */
export function endTrace(
  traced: TracedHandshake,
  outcome: HandshakeOutcome,
  address: () => string | undefined,
): void {
  if (outcome === 'gone') traced.gone();
  else if ('refusal' in outcome) {
    traced.refused(outcome.refusal.reason, outcome.refusal.status, address());
  } else traced.admitted(outcome.manager);
}
