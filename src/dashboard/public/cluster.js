import { $, el, reconcile, setText } from './dom.js';
import { clockTime, duration, plural, whole } from './words.js';

// The processes of the cluster, if there is one, and which limit is in force.

const STATES = {
  joining: 'joining',
  up: 'limits count over all processes',
  local: 'cluster away: the limit per user counts on this process only',
  open: 'cluster away: only the limit of the process counts',
  closed: 'cluster away: new connections are refused',
  left: 'left',
};

function note({ state, since, leases, counters, lastError }, now) {
  const parts = [
    `${STATES[state] ?? state}, for ${duration(now - since)}`,
    `${plural(leases.held, 'slot')} held here`,
  ];
  if (leases.unleased > 0) parts.push(`${whole(leases.unleased)} not counted elsewhere yet`);
  if (counters.lost > 0) parts.push(`${plural(counters.lost, 'slot')} lost`);
  if (counters.evicted > 0) parts.push(`${plural(counters.evicted, 'connection')} replaced`);
  if (counters.failures > 0) parts.push(`${plural(counters.failures, 'command')} failed`);
  if (state !== 'up' && lastError) parts.push(lastError);
  return `${state === 'up' ? '✓' : '✗'} ${parts.join(' · ')}`;
}

// While the cluster is away, this process knows only what the other nodes were at the last heartbeat.
function statusOf(isDraining, isThis, { state, renewedAt }) {
  if (state !== 'up' && !isThis) return `? unknown since ${clockTime(renewedAt)}`;
  return isDraining ? '◑ draining' : '● up';
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
        el('td', { className: 'right up' }),
      ),
    (row, { nodeId, name, isDraining, connections, startedAt }) => {
      const isThis = nodeId === cluster.nodeId;
      row.classList.toggle('selected', isThis);
      setText($('th', row), isThis ? `${name} (this one)` : name);
      setText($('.status', row), statusOf(isDraining, isThis, cluster));
      setText($('.count', row), whole(connections));
      $('.fill', row).style.width = `${(connections / most) * 100}%`;
      setText($('.up', row), duration(now - startedAt));
    },
  );
}
