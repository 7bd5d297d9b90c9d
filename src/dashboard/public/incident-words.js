import { plural, whole } from './words.js';

// What the page says about incidents.

/** What an operator can do about refusals, by their most frequent reason. */
export const REFUSAL_ADVICE = {
  starting: 'The process has not started yet. Let the load balancer ask its readiness first.',
  draining:
    'Clients are still sent to a process that goes away. Let the load balancer ask its readiness.',
  origin:
    'Pages of another site try to connect. If they are yours, name them in handshake.allowedOrigins.',
  'invalid-path': 'Clients send values in the path that cannot be read.',
  'pending-cap':
    'Too many handshakes wait, most likely for the authenticator: how long does it take?',
  'address-limit':
    'One address opens too many connections: a proxy that handshake.trustProxy should name, or an attack.',
  'address-rate':
    'One address connects too often: a proxy that handshake.trustProxy should name, or a client in a loop.',
  'connect-rate':
    'More arrivals than handshake.admission takes. Clients wait and come back; add a node if it lasts.',
  'event-loop':
    'The event loop is too slow for newcomers. Add a node, or take a profile of this one.',
  unauthorized:
    'Tokens are missing, expired or not valid. Many addresses: a key, a clock or a release of the client has changed. One address: a client in a loop, or an attack.',
  forbidden: 'The authenticator knows these users and does not admit them.',
  'auth-failed': 'The authenticator throws: can it reach what it asks? The log has the error.',
  timeout:
    'The authenticator, or a service of the connection, takes longer than handshake.timeoutMs.',
  'invalid-context': 'The authenticator returns an identity that is not valid. The log says why.',
  'user-limit':
    'A client opens connections and does not close them. Look at the connections of the user, and disconnect them; or raise limits.maxManagersPerUser.',
  'process-limit':
    'This process is full. Add a node, or raise limits.maxManagers if there is memory.',
  'cluster-unavailable': 'Redis is away, and the options say to refuse meanwhile. Repair Redis.',
  'scope-failed': 'A service of the connection fails to start. The log has the error.',
};

const ELSEWHERE = 'Open the dashboard of that node for the reasons.';

/** Whether a rate gets worse, compared with the five minutes before. */
function trend(count, before) {
  if (before === undefined) return '';
  if (count > before * 1.2) return ` ↑ more than the ${whole(before)} before`;
  if (count < before * 0.8) return ` ↓ fewer than the ${whole(before)} before`;
  return ' → steady';
}

/**
 * Incidents: the sentence, what to do (a text, or a function of the incident), the part of the page, and the kind of events to show there. A notice does not
 * count as an incident.
 */
export const INCIDENTS = {
  'isolation-violated': {
    say: ({ count }) =>
      `${plural(count, 'isolation violation')}: code tried to reach another user or thread`,
    advice: 'The isolation held. Read the event: it names the user and the code that tried.',
    section: 'feed-title',
    events: 'problems',
  },
  leaking: {
    say: ({ count }) => `${plural(count, 'leak suspect')}: closed, and perhaps still in memory`,
    advice: 'The table names what has not ended, and where it was made.',
    section: 'leaks-title',
  },
  'cluster-away': {
    say: ({ what }) => `Redis is away${what ? `: ${what}` : ''}`,
    advice:
      'Check Redis and the network to it. Limits and delivery work on each node by itself until it is back.',
    section: 'cluster-title',
    events: 'cluster',
  },
  'node-gone': {
    say: ({ what }) => `The node ${what} has gone without a drain`,
    advice: 'It was killed, or cannot reach Redis. Its clients reconnect to the other nodes.',
    section: 'cluster-title',
    events: 'cluster',
  },
  refusing: {
    say: ({ count, before }) =>
      `${plural(count, 'connection')} refused a minute${trend(count, before)}`,
    advice: ({ node, reasons = [] }) =>
      node ? ELSEWHERE : (REFUSAL_ADVICE[reasons[0]?.reason] ?? 'The log has the error.'),
    section: 'refusals-title',
    events: 'refusals',
  },
  failing: {
    say: ({ count, before }) =>
      `${plural(count, 'message')} a minute fail in a handler${trend(count, before)}`,
    advice: ({ node }) =>
      node ? ELSEWHERE : 'The log has the stack. Did it begin with a deployment?',
    section: 'feed-title',
    events: 'problems',
  },
  'event-loop-busy': {
    say: ({ count }) => `The event loop is busy for ${count} % of the time`,
    advice: 'Messages wait. Profile the process, or move connections to another node by a drain.',
    section: 'vitals-title',
  },
  'users-full': {
    isNotice: true,
    say: ({ count }) => `${plural(count, 'user')} at the limit of connections`,
    advice:
      'Their next connection is refused or replaces another. Look for a client that does not close.',
    section: 'users-title',
  },
  'nearly-full': {
    say: ({ count }) => `${count} % of the connections of this process are in use`,
    advice: 'Add a node, or raise limits.maxManagers if the memory allows it.',
    section: 'connections-title',
  },
  draining: {
    say: ({ count, node }) =>
      `${node ? 'It' : 'This process'} is draining: ${plural(count, 'connection')} left`,
    advice: 'New connections are refused. It ends when the last connection has closed.',
    section: 'connections-title',
    events: 'operators',
  },
};
