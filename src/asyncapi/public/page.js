import { $, el, setText } from './dom.js';
import { schemaView } from './schema.js';

// Reads the document beside the page, and shows it by path: what clients send, what the server sends and asks.

const GROUPS = [
  ['Clients send', ({ action }) => action === 'receive'],
  ['The server sends', ({ action, reply }) => action === 'send' && !reply],
  ['The server asks', ({ action, reply }) => action === 'send' && reply],
];

try {
  const response = await fetch($('#document').href);
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  show(await response.json());
} catch (error) {
  $('#status').classList.add('wrong');
  setText($('#status'), `The document could not be read. ${error.message}`);
}

function show(api) {
  const { title, version, description } = api.info;
  document.title = title;
  $('#title').textContent = title;
  $('#version').textContent = `Version ${version}`;
  $('#description').textContent = description ?? '';
  $('#description').hidden = description === undefined;
  const operations = Object.values(api.operations);
  for (const [name, channel] of Object.entries(api.channels)) {
    const own = operations.filter((operation) => operation.channel.$ref === `#/channels/${name}`);
    $('#channels').append(channelView(api, channel, own));
  }
  $('#search').addEventListener('input', filter);
  filter();
}

function channelView(api, { address, title }, operations) {
  const isTopic = title !== address;
  const heading = isTopic ? `${address}, topic ${title}` : title;
  const groups = GROUPS.flatMap(([name, belongs]) => {
    const own = operations.filter(belongs);
    if (own.length === 0) return [];
    const what = isTopic ? 'Members get' : name;
    return [
      el(
        'div',
        { className: 'group' },
        el('h3', {}, what),
        ...own.map((each) => messageView(api, each)),
      ),
    ];
  });
  return el('section', { className: 'channel' }, el('h2', {}, heading), ...groups);
}

function messageView(api, { title, messages, reply }) {
  const sent = found(api, messages[0]);
  const name = sent.payload.properties.event.const;
  const parts = [dataView(api, 'Data', sent)];
  if (reply) parts.push(...replyView(api, found(api, reply.messages[0])));
  const view = el(
    'article',
    { className: 'message' },
    el('h4', {}, name),
    ...(sent.description ? [el('p', {}, sent.description)] : []),
    ...parts.flat(),
    framesView([sent, ...(reply ? [found(api, reply.messages[0])] : [])]),
  );
  view.dataset.words = `${title} ${name} ${sent.description ?? ''}`.toLowerCase();
  return view;
}

function replyView(api, message) {
  const { name } = message;
  if (name === 'ack')
    return [
      el('p', { className: 'part' }, 'Reply'),
      el('p', { className: 'note' }, 'An acknowledgement.'),
    ];
  if (name.endsWith('.item')) return dataView(api, 'Reply: a stream of items', message);
  return dataView(api, name.endsWith('.answer') ? 'Answer' : 'Reply', message);
}

function dataView(api, label, { payload }) {
  const { data } = payload.properties;
  const view = data
    ? el('div', {}, ...schemaView(data, api))
    : el('p', { className: 'note' }, 'None.');
  return [el('p', { className: 'part' }, label), view];
}

// Frames as they go over the wire, as JSON Schema.
function framesView(messages) {
  const frames = messages.map(({ payload }) =>
    el('pre', { tabIndex: 0 }, el('code', {}, JSON.stringify(payload, undefined, 2))),
  );
  return el(
    'details',
    {},
    el(
      'summary',
      {},
      messages.length > 1 ? 'JSON Schema of the frames' : 'JSON Schema of the frame',
    ),
    ...frames,
  );
}

function found(api, { $ref }) {
  return $ref
    .slice(2)
    .split('/')
    .reduce((part, key) => part[key], api);
}

function filter() {
  const word = $('#search').value.trim().toLowerCase();
  const all = [...document.querySelectorAll('.message')];
  for (const message of all) message.hidden = !message.dataset.words.includes(word);
  for (const part of document.querySelectorAll('.group, .channel')) {
    part.hidden = !part.querySelector('.message:not([hidden])');
  }
  const shown = all.filter(({ hidden }) => !hidden).length;
  const found = word === '' ? count(all.length) : `${shown} of ${count(all.length)}`;
  setText($('#status'), all.length === 0 ? 'No gateway of this app has a contract.' : found);
}

function count(number) {
  return `${number} ${number === 1 ? 'message' : 'messages'}`;
}
