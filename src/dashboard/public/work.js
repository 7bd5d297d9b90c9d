import { renderFacts } from './aside.js';
import { $ } from './dom.js';
import { bytes, plural, whole } from './words.js';

// What is open at this moment, and which arrivals are admitted.

function admissionWords(options) {
  if (options === null) return 'every arrival (handshake.admission is not set)';
  const { perSecond, burst, maxEventLoopDelayMs, perAddress } = options;
  const parts = [`${whole(perSecond)} a second, ${whole(burst)} at once`];
  if (maxEventLoopDelayMs !== undefined) {
    parts.push(`none while the event loop is ${whole(maxEventLoopDelayMs)} ms late`);
  }
  const { maxConnections, perSecond: rate } = perAddress ?? {};
  if (maxConnections !== undefined)
    parts.push(`${plural(maxConnections, 'connection')} per address`);
  if (rate !== undefined) parts.push(`${whole(rate)} a second per address`);
  return parts.join(' · ');
}

export function renderWork({ work, admission, topics }) {
  const { handlers, asks, streams, waitingBytes } = work;
  const { pending, mostPending, addresses, options } = admission;
  renderFacts($('#work'), [
    ['Handlers running', whole(handlers)],
    ['Questions to clients', `${whole(asks)} open`],
    ['Streams', `${whole(streams)} open`],
    ['Waiting for slow readers', bytes(waitingBytes)],
    ['Subscriptions', `${whole(topics.pending)} wait for the authorizer`],
    ['Handshakes', `${whole(pending)} of ${whole(mostPending)} under way`],
    ['Admitted', admissionWords(options)],
    ...(options?.perAddress ? [['Addresses remembered', whole(addresses)]] : []),
  ]);
}
