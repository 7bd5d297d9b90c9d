// The texts for numbers, times and events.

const integer = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const decimal = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const NO_DATA = '–';

export const whole = (value) => (value === null ? NO_DATA : integer.format(value));
export const compact = (value) => (value >= 100_000 ? short.format(value) : integer.format(value));

/** A rate; below 10 with one fraction digit. */
export function rate(value) {
  if (value === null || value === undefined) return NO_DATA;
  return value < 10 ? decimal.format(value) : compact(value);
}

export function percent(share) {
  if (share === null || share === undefined) return NO_DATA;
  return `${decimal.format(share * 100)} %`;
}

export function bytes(value) {
  if (value < 1024) return `${value} B`;
  const units = ['KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length, Math.floor(Math.log2(value) / 10));
  const amount = value / 1024 ** power;
  return `${(amount < 100 ? decimal : integer).format(amount)} ${units[power - 1]}`;
}

export function duration(ms) {
  if (ms === null || ms === undefined) return NO_DATA;
  if (ms < 1) return '< 1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export const clockTime = (epochMs) =>
  new Date(epochMs).toLocaleTimeString('en-GB', { hour12: false });

export const plural = (count, one, many = `${one}s`) =>
  `${whole(count)} ${count === 1 ? one : many}`;

export const REFUSALS = {
  starting: 'process starting',
  draining: 'process draining',
  origin: 'wrong origin',
  'invalid-path': 'unreadable path',
  'pending-cap': 'too many handshakes',
  'address-limit': 'address at the limit',
  'address-rate': 'address connects too often',
  'connect-rate': 'too many arrivals',
  'event-loop': 'process too busy',
  unauthorized: 'not signed in',
  forbidden: 'forbidden',
  'auth-failed': 'authenticator failed',
  timeout: 'handshake took too long',
  'invalid-context': 'invalid identity',
  'user-limit': 'user at the limit',
  'process-limit': 'process at the limit',
  'cluster-unavailable': 'Redis away',
  'scope-failed': 'services failed to start',
};

export const ADDRESS_CLASSES = {
  loopback: 'this machine',
  private: 'private networks',
  ipv4: 'IPv4',
  ipv6: 'IPv6',
  unknown: 'unknown',
};

export const IGNORED = {
  'not-json': 'not JSON',
  'unknown-event': 'unknown event',
  'thread-mismatch': 'another thread',
  'invalid-payload': 'data that does not fit the contract',
  'rate-limit': 'too many at once',
  'pending-overflow': 'too many waiting',
  closing: 'connection closing',
  'app-refused': 'refused by the app',
  failed: 'handler failed',
};

/** Why commands to Redis fail. */
export const FAILURES = {
  timeout: 'no reply in time',
  connection: 'no connection',
  denied: 'right missing',
  'error-reply': 'error of Redis',
  unreadable: 'unreadable reply',
  backlog: 'too much waiting',
  other: 'other',
};

export const RUNS = { proactive: 'Proactive', emergency: 'Emergency', expired: 'Manual' };

export const CODES = {
  1000: 'normal',
  1001: 'going away',
  1005: 'no code given',
  1006: 'connection lost',
  1008: 'policy',
  1009: 'too big',
  1011: 'server error',
  1013: 'overloaded',
  4401: 'sign in again',
  4403: 'forbidden',
  4408: 'handshake timeout',
  4409: 'replaced',
  4429: 'too many connections',
  4430: 'rate limit',
  4440: 'idle',
  4441: 'slow reader',
  4442: 'lease lost',
  4443: 'unresponsive',
};

const CLUSTER_STATES = {
  joining: 'Joining the cluster',
  up: 'Limits count over all nodes',
  local: 'Redis is away: the limit per user counts on this node only',
  open: 'Redis is away: only the limit of the node counts',
  closed: 'Redis is away: new connections are refused',
  left: 'Left the cluster',
};

export const clusterState = (state) => CLUSTER_STATES[state] ?? state;

export const code = (number) => (CODES[number] ? `${number} ${CODES[number]}` : String(number));
const who = ({ userId }) => userId ?? 'An unknown user';

const unanswered = ({ unconfirmed }) => `no answer from ${plural(unconfirmed.length, 'node')}`;

const ACTIONS = {
  'disconnect-connection': ({ target, count }) => `disconnected ${target} (${count})`,
  'disconnect-user': ({ target, count }) =>
    `disconnected ${plural(count, 'connection')} of ${target}`,
  'remove-connection-from-topic': ({ target, topic, count }) =>
    `removed ${target} from ${topic} (${count})`,
  'remove-user-from-topic': ({ target, topic, count }) =>
    `removed ${plural(count, 'connection')} of ${target} from ${topic}`,
  cleanup: ({ count }) => `cleaned up: ${count} removed`,
  drain: ({ count }) => `started the drain of ${plural(count, 'connection')}`,
};

/** The texts of events: the kind (for filter and colour), the mark, and the sentence. */
export const EVENTS = {
  'connection-ready': {
    kind: 'connections',
    mark: '→',
    say: (event) => `${who(event)} connected to ${event.path}`,
  },
  'connection-closed': {
    kind: 'connections',
    mark: '←',
    say: (event) =>
      `${who(event)} left with ${code(event.code)}, by ${event.initiator}, after ${duration(event.connectedMs)}`,
  },
  'connection-refused': {
    kind: 'refusals',
    mark: '⊘',
    say: (event) =>
      `${who(event)}${event.address ? ` from ${event.address}` : ''} refused on ${event.path}: ${REFUSALS[event.reason] ?? event.reason}`,
  },
  'manager-removed': {
    kind: 'cleanup',
    mark: '✂',
    say: (event) => `${who(event)} removed as ${event.cause}, with ${code(event.code)}`,
  },
  'cleanup-finished': {
    kind: 'cleanup',
    mark: '✓',
    say: (event) =>
      `${RUNS[event.kind] ?? event.kind} cleanup: ${event.removed} removed in ${duration(event.durationMs)}` +
      (event.timedOut ? ', not finished in time' : ''),
  },
  'thread-mismatch': {
    kind: 'problems',
    mark: '!',
    say: (event) =>
      `${who(event)} named thread ${event.claimedThreadId} on a connection of ${event.threadId}`,
  },
  'thread-inconsistent': {
    kind: 'problems',
    mark: '!',
    say: (event) => `Threads differ: ${event.threadIds.join(', ')} (${event.sources.join(', ')})`,
  },
  'handler-failed': {
    kind: 'problems',
    mark: '!',
    say: (event) => `A handler of “${event.event}” failed for ${who(event)}: ${event.error}`,
  },
  'hook-failed': {
    kind: 'problems',
    mark: '!',
    say: (event) => `${event.hook} failed for ${who(event)}`,
  },
  'disposal-fault': {
    kind: 'problems',
    mark: '!',
    say: (event) => `A disposer of ${who(event)} ${event.outcome}`,
  },
  'slow-consumer': {
    kind: 'problems',
    mark: '!',
    say: (event) => `${who(event)} reads too slowly: ${bytes(event.bufferedBytes)} waiting`,
  },
  'critical-undelivered': {
    kind: 'problems',
    mark: '!',
    say: (event) => `${plural(event.messages, 'critical message')} to ${who(event)} not delivered`,
  },
  'disconnect-unconfirmed': {
    kind: 'problems',
    mark: '!',
    say: (event) => `${event.userId ?? event.connectionId}: ${unanswered(event)} to the disconnect`,
  },
  'topic-removal-unconfirmed': {
    kind: 'problems',
    mark: '!',
    say: (event) =>
      `${event.userId ?? event.connectionId}: ${unanswered(event)} to the removal from ${event.topic}`,
  },
  'isolation-violation': {
    kind: 'problems',
    mark: '!',
    say: (event) => `${who(event)}: ${event.what}`,
  },
  'leak-suspected': {
    kind: 'problems',
    mark: '!',
    say: (event) => `A closed connection of ${who(event)} may leak: ${event.cause}`,
  },
  'resume-gap': {
    kind: 'problems',
    mark: '!',
    say: (event) => `${who(event)} resumed with a gap: events may be missing`,
  },
  'resume-failed': {
    kind: 'problems',
    mark: '!',
    say: (event) => `Missed events could not be sent to ${who(event)}`,
  },
  'renewal-refused': {
    kind: 'refusals',
    mark: '⊘',
    say: (event) =>
      `The identity of ${who(event)} was not renewed: ${REFUSALS[event.reason] ?? 'one at a time'}` +
      (event.code === undefined ? '' : `, closed with ${event.code}`),
  },
  'topic-refused': {
    kind: 'refusals',
    mark: '⊘',
    say: (event) => `${who(event)} refused in ${event.topic ?? 'a topic'}: ${event.code}`,
  },
  'cluster-joined': {
    kind: 'cluster',
    mark: '⬡',
    say: (event) => `Joined the cluster: ${plural(event.nodes, 'node')}`,
  },
  'cluster-degraded': {
    kind: 'cluster',
    mark: '✗',
    say: (event) => `${clusterState(event.state)} (${event.cause})`,
  },
  'cluster-recovered': {
    kind: 'cluster',
    mark: '⬡',
    say: (event) => `Redis is back after ${duration(event.downMs)}`,
  },
  'cluster-warning': { kind: 'cluster', mark: '!', say: (event) => event.what },
  'cluster-left': { kind: 'cluster', mark: '⬡', say: () => clusterState('left') },
  'drain-started': {
    kind: 'operators',
    mark: '⏻',
    say: (event) => `The drain of ${plural(event.connections, 'connection')} has started`,
  },
  'drain-finished': {
    kind: 'operators',
    mark: '⏻',
    say: (event) => `Drained: ${event.closed} closed, ${event.abandoned} abandoned`,
  },
  'operator-action': {
    kind: 'operators',
    mark: '☞',
    say: (event) => `${event.who} ${ACTIONS[event.action]?.(event) ?? event.action}`,
  },
};

export function describe({ name, details, left }) {
  const { kind, mark, say } = EVENTS[name] ?? { kind: 'problems', mark: '·', say: () => name };
  if (left) return { kind, mark: '…', text: `and ${whole(left)} more of this kind (${name})` };
  return { kind, mark, text: say(details) };
}
