// The page of the demo, without a framework. A Person holds Tabs, and a Tab holds a client of the package. The page polls the
// server's state once per second.

import { renderChart, SAMPLES } from './chart.js';
import { show } from './lists.js';
import { COLOURS, Person } from './person.js';
import { DEEDS } from './words.js';

const people = new Map();
const $ = (selector, root = document) => root.querySelector(selector);

function renderLedger({ ledger, stats, score, suspects }) {
  for (const name of ['created', 'active', 'disposed']) {
    $(`[data-ledger=${name}]`).textContent = ledger[name];
  }
  const isTrue = ledger.created === ledger.active + ledger.disposed;
  const verdict = $('[data-ledger=verdict]');
  verdict.textContent = isTrue ? '✓ true' : '✗ not true';
  verdict.classList.toggle('wrong', !isTrue);
  const { resourceLimitHits } = stats.factoryMetrics;
  $('[data-figure=refused]').textContent = resourceLimitHits;
  $('[data-figure=score]').textContent = score === 100 ? 'none' : `${(100 - score).toFixed(1)} %`;
  $('[data-figure=suspects]').textContent = suspects.length;
  const oldest = Math.round(stats.oldestManagerAgeSeconds);
  $('[data-figure=oldest]').textContent = ledger.active === 0 ? '–' : `${oldest} s`;
}

function renderCluster({ cluster }) {
  $('#cluster').hidden = !cluster;
  if (!cluster) return;
  const name = nameOf(cluster);
  const others = cluster.nodes.map(({ name }) => name).filter((other) => other !== name);
  $('#cluster').textContent =
    `This page talks to the node “${name}”` +
    (others.length > 0
      ? `, which shares its limits and messages with “${others.join('”, “')}”.`
      : '.') +
    (cluster.state === 'up' ? '' : ` Redis is away: ${cluster.state}.`);
}

const nameOf = ({ nodes, nodeId }) =>
  nodes.find((node) => node.nodeId === nodeId)?.name ?? 'unknown';

let shownEvents = new Map();
function renderFeed(events) {
  $('#no-feed').hidden = events.length > 0;
  const items = new Map();
  for (const event of events.toReversed()) {
    const key = JSON.stringify(event);
    items.set(key, shownEvents.get(key) ?? eventItem(event));
  }
  shownEvents = items;
  show($('#feed'), [...items.values()]);
}

function eventItem({ at, name, details }) {
  const item = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date(at).toLocaleTimeString([], { hour12: false });
  item.append(time, DEEDS[name]?.(details) ?? name);
  return item;
}

async function refresh() {
  const response = await fetch('playground/state');
  const state = await response.json();
  renderLedger(state);
  renderFeed(state.events);
  const { cluster } = state.stats.currentState;
  renderCluster({ cluster });
  const managers = new Map(state.managers.map((manager) => [manager.connectionId, manager]));
  for (const person of people.values()) {
    for (const tab of person.tabs) {
      tab.manager = managers.get(tab.context.connectionId) ?? tab.manager;
    }
    person.node = cluster && nameOf(cluster);
    person.elsewhere = state.others[person.userId] ?? 0;
    person.samples.push(state.stats.userDistribution[person.userId] ?? 0);
    if (person.samples.length > SAMPLES) person.samples.shift();
    person.render();
  }
  renderChart($('#chart'), people.values());
}

$('#sign-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  const input = $('#name');
  const response = await fetch('sign-in', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: input.value }),
  });
  const answer = await response.json();
  $('#sign-in-error').textContent = response.ok ? '' : answer.message;
  if (!response.ok) return;
  input.value = '';
  $('#nobody').hidden = true;
  let person = people.get(answer.userId);
  if (!person) {
    const colour = COLOURS[people.size % COLOURS.length];
    person = new Person(answer.userId, answer.token, colour);
    people.set(answer.userId, person);
    $('#people').append(person.root);
  }
  // The tabs from now on are in this room; earlier ones stay where they are.
  person.room = $('#room').value.trim();
  person.open();
});

$('#cleanup').addEventListener('click', () => fetch('playground/cleanup', { method: 'POST' }));

renderChart($('#chart'), people.values());
// A failed request is ignored: the page polls again after a second.
const tick = () => refresh().catch(() => undefined);
setInterval(() => void tick(), 1000);
void tick();
