import { $, el, setText } from './dom.js';
import { reconcile } from './reconcile.js';
import {
  bytes,
  clockTime,
  clusterState,
  duration,
  FAILURES,
  NO_DATA,
  percent,
  plural,
  rate,
  whole,
} from './words.js';

// The nodes of the cluster side by side, if there is one, and which limit is in force.

function note({ state, since, leases, counters, lastError }, now) {
  const parts = [
    `${clusterState(state)}, for ${duration(now - since)}`,
    `${plural(leases.held, 'slot')} held here`,
  ];
  if (leases.unleased > 0) parts.push(`${whole(leases.unleased)} not counted elsewhere yet`);
  if (counters.lost > 0) parts.push(`${plural(counters.lost, 'slot')} lost`);
  if (counters.evicted > 0) parts.push(`${plural(counters.evicted, 'connection')} replaced`);
  const failures = Object.entries(counters.failures).filter(([, count]) => count > 0);
  if (failures.length > 0) {
    const sum = failures.reduce((total, [, count]) => total + count, 0);
    const reasons = failures.map(([reason, count]) => `${FAILURES[reason]} ${whole(count)}`);
    parts.push(`${plural(sum, 'command')} failed (${reasons.join(', ')})`);
  }
  if (state !== 'up' && lastError) parts.push(lastError);
  return `${state === 'up' ? '✓' : '✗'} ${parts.join(' · ')}`;
}

// While Redis is away, this process knows only what the other nodes were at the last heartbeat.
function statusOf(isDraining, isThis, { state, renewedAt }) {
  if (state !== 'up' && !isThis) return `? unknown since ${clockTime(renewedAt)}`;
  return isDraining ? '◑ draining' : '● up';
}

const CELLS = ['users', 'messages', 'refused', 'busy', 'memory'];

// From which values on a number is marked. The incidents say what it means.
const MANY_REFUSALS = 6;
const BUSY = 0.9;

function renderLoad(row, load) {
  const texts = load
    ? {
        users: whole(load.users),
        messages: `${rate(load.messagesPerSecond)}/s`,
        refused: `${rate(load.refusedPerMinute)}/min`,
        busy: percent(load.busy),
        memory: bytes(load.memoryBytes),
      }
    : {};
  for (const name of CELLS) setText($(`.${name}`, row), texts[name] ?? NO_DATA);
  $('.refused', row).classList.toggle('wrong', (load?.refusedPerMinute ?? 0) >= MANY_REFUSALS);
  $('.busy', row).classList.toggle('wrong', (load?.busy ?? 0) >= BUSY);
}

export function renderCluster({ cluster, now }) {
  $('#cluster-section').hidden = cluster === null;
  if (cluster === null) return;
  $('#cluster-note').classList.toggle('wrong', cluster.state !== 'up');
  setText($('#cluster-note'), note(cluster, now));
  const most = Math.max(1, ...cluster.nodes.map(({ connections }) => connections));
  reconcile(
    $('#nodes'),
    cluster.nodes.toSorted((a, b) => a.name.localeCompare(b.name)),
    ({ nodeId }) => nodeId,
    () =>
      el(
        'tr',
        {},
        el('th', { scope: 'row' }),
        el('td', { className: 'status' }),
        el(
          'td',
          { className: 'held' },
          el('span', { className: 'count' }),
          el('span', { className: 'meter thin' }, el('span', { className: 'fill' })),
        ),
        ...['wide right users', 'wide right messages', 'right refused'].map((className) =>
          el('td', { className }),
        ),
        ...['wide right busy', 'wide right memory', 'wide right up'].map((className) =>
          el('td', { className }),
        ),
      ),
    (row, { nodeId, name, isDraining, connections, startedAt, load }) => {
      const isThis = nodeId === cluster.nodeId;
      row.classList.toggle('selected', isThis);
      setText($('th', row), isThis ? `${name} (this one)` : name);
      setText($('.status', row), statusOf(isDraining, isThis, cluster));
      setText($('.count', row), whole(connections));
      renderLoad(row, load);
      $('.fill', row).style.width = `${(connections / most) * 100}%`;
      setText($('.up', row), duration(now - startedAt));
    },
  );
}
