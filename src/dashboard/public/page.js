// The page polls every 2.5 seconds, only while it is visible. Each module renders its own part.

import { Actions } from './actions.js';
import { Cards } from './cards.js';
import { renderCleanups } from './cleanup.js';
import { renderCluster } from './cluster.js';
import { Connections } from './connections.js';
import { Detail } from './detail.js';
import { $, el, setText } from './dom.js';
import { Feed } from './feed.js';
import { countIncidents, Incidents } from './incidents.js';
import { reconcile } from './reconcile.js';
import { renderRefusals } from './refusals.js';
import { ask } from './server.js';
import { startTheme } from './theme.js';
import { TopicDetail, Topics } from './topics.js';
import { renderUsers } from './users.js';
import { duration, plural, whole } from './words.js';
import { renderWork } from './work.js';

const EVERY_MS = 2_500;
const LONGEST_WAIT_MS = 20_000;

let samples = [];
let node;
let failures = 0;
let timer;
let isAsking = false;

const cards = new Cards();
const feed = new Feed();
const actions = new Actions({ onDone: (text) => done(text) });
const connections = new Connections({ onPick: open, onProblem: (error) => problem(error) });
const incidents = new Incidents(feed, (userId) => connections.searchFor(userId));
const topics = new Topics({ onPick: openTopic, onProblem: (error) => problem(error) });
const detail = new Detail({
  onClose: () => connections.select(undefined),
  onPick: open,
  onPickTopic: openTopic,
  actions,
});
const topicDetail = new TopicDetail({
  onClose: () => topics.select(undefined),
  onPickUser: (userId) => connections.searchFor(userId),
  actions,
});

function open(connectionId) {
  connections.select(connectionId);
  detail.open(connectionId).catch(problem);
}

function openTopic(name) {
  topics.select(name);
  topicDetail.open(name).catch(problem);
}

function done(text) {
  announce(text);
  void look();
  void connections.load();
  void topics.load();
}

// Read out by screen readers: only results of actions, and changes of the whole page.
function announce(text) {
  setText($('#announcement'), text);
}

function status(kind, text) {
  const box = $('#status');
  if (box.dataset.kind !== kind && kind !== 'live' && kind !== 'trouble') announce(text);
  box.dataset.kind = kind;
  setText($('#status-text'), text);
}

function problem(error) {
  status(
    error.isFinal ? 'ended' : 'lost',
    error.status ? error.message : 'The server does not answer.',
  );
}

function renderNode(state) {
  if (node !== undefined && node !== state.node.id) {
    samples = [];
    feed.latest = 0;
    topics.forget();
    announce('Another process responds now.');
  }
  node = state.node.id;
  const { name, versions, uptimeMs } = state.node;
  setText($('#node-name'), nameIn(state.cluster) ?? name);
  setText($('#node-uptime'), `up ${duration(uptimeMs)}`);
  setText(
    $('#node-versions'),
    `v${versions.library} · Nest ${versions.nest} · Node ${versions.node}`,
  );
  setText($('#viewers'), `${plural(state.viewers.watching, 'viewer')} of ${state.viewers.limit}`);
  document.documentElement.classList.toggle('draining', state.isDraining);
}

// The cluster may give this process another name than its host name and process id.
const nameIn = (cluster) => cluster?.nodes.find(({ nodeId }) => nodeId === cluster.nodeId)?.name;

function verdict(name, isFine, text) {
  const element = $(`[data-verdict=${name}]`);
  element.classList.toggle('wrong', !isFine);
  setText(element, `${isFine ? '✓' : '✗'} ${text}`);
}

function renderProof({ ledger, consistency, leaks, states, violations }) {
  for (const name of ['created', 'active', 'disposed']) {
    setText($(`[data-ledger=${name}]`), whole(ledger[name]));
  }
  const isTrue = ledger.created === ledger.active + ledger.disposed;
  verdict('ledger', isTrue, isTrue ? 'no connection is missing' : 'connections are missing');
  const { score, snapshots, inconsistent } = consistency;
  setText($('#score'), `${score === 100 ? '100' : score.toFixed(2)} %`);
  const looked = `${whole(inconsistent)} of ${whole(snapshots)} snapshots differ`;
  verdict('score', inconsistent === 0, snapshots === 0 ? 'no snapshots yet' : looked);
  setText($('#leak-count'), whole(leaks.count));
  verdict('leaks', leaks.count === 0, leaks.count === 0 ? 'no leaks found' : 'see the list below');
  setText($('#violations'), whole(violations));
  verdict('violations', violations === 0, violations === 0 ? 'no violations' : 'see the log');
  const parts = {
    open: states.open,
    pinned: states.pinned,
    unattached: states.unattached,
    closing: states.closing,
  };
  const sum = Math.max(
    1,
    Object.values(parts).reduce((total, count) => total + count, 0),
  );
  for (const [name, count] of Object.entries(parts)) {
    $(`#states [data-part=${name}]`).style.flexGrow = String(count / sum);
    setText($(`#states-key [data-part=${name}] b`), whole(count));
  }
}

const SUSPICIONS = {
  overdue: 'closed, not disposed in time',
  abandoned: 'given up, not ended',
  kept: 'disposed, something is kept for it',
  reachable: 'disposed, still in memory',
};

const suspectCells = ({ cause, label, isolationKey, connectionId, ageMs, creationSite }) => [
  label ? `${SUSPICIONS[cause]}: ${label}` : SUSPICIONS[cause],
  isolationKey,
  connectionId,
  duration(ageMs),
  creationSite ?? 'not recorded (leaks.captureCreationSite)',
];

function renderLeaks({ leaks }) {
  $('#leaks-section').hidden = leaks.count === 0;
  reconcile(
    $('#leaks'),
    leaks.suspects,
    ({ connectionId, cause }) => `${connectionId}-${cause}`,
    (suspect) => el('tr', {}, ...suspectCells(suspect).map((text) => el('td', {}, text))),
  );
}

function render(state) {
  renderNode(state);
  const oldest = state.now - state.history.spanMs;
  samples = [...samples, ...state.history.samples].filter(({ at }) => at > oldest);
  actions.allow(state.access);
  $('#hidden-ids').hidden = state.access.seesIds;
  cards.render(state, samples);
  renderProof(state);
  renderLeaks(state);
  renderUsers(state, (userId) => connections.searchFor(userId));
  renderWork(state);
  renderRefusals(state, samples);
  renderCleanups(state);
  renderCluster(state);
  feed.take(state.events);
  incidents.render(state);
  connections.refresh(state);
  topics.refresh(state);
}

// "Live" means that the numbers are current and nothing is wrong.
function healthOf({ isDraining, incidents: found }) {
  if (isDraining) return ['draining', 'Draining'];
  const count = countIncidents(found);
  return count === 0 ? ['live', 'Live'] : ['trouble', plural(count, 'incident')];
}

async function look() {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  try {
    const state = await ask('state', { since: samples.at(-1)?.at ?? 0, after: feed.latest });
    failures = 0;
    render(state);
    status(...healthOf(state));
    await Promise.all([detail.refresh(), topicDetail.refresh()]);
  } catch (error) {
    failures += 1;
    problem(error);
    if (error.isFinal) return;
  } finally {
    isAsking = false;
  }
  if (!document.hidden)
    timer = setTimeout(() => void look(), Math.min(LONGEST_WAIT_MS, EVERY_MS * 2 ** failures));
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(timer);
  if (!document.hidden) void look();
});
document.addEventListener('keydown', (event) => {
  const isTyping = event.target.closest('input, select, textarea, dialog');
  if (event.key !== '/' || isTyping) return;
  event.preventDefault();
  $('#search').focus();
});

startTheme();
void look();
