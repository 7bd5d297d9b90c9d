import { connect } from './client/index.js';

const $ = (selector) => document.querySelector(selector);
const name = new URLSearchParams(location.search).get('name');
const enter = (path) => {
  const client = connect(path, { token: () => name });
  client.onError(({ code }) => ($('#errors').textContent += code));
  return client;
};

const chat = enter('/chat');
chat.subscribe('room:tea', ({ data }) => {
  const item = document.createElement('li');
  item.textContent = `${data.by}: ${data.text}`;
  $('#said').append(item);
});
chat.presence('room:tea', ({ count }) => ($('#people').textContent = `${count} here`));
$('#say').addEventListener('submit', (event) => {
  event.preventDefault();
  chat.send('say', { room: 'tea', text: event.target.elements.text.value });
});

const agent = enter('/agent');
agent.answer(
  'approve',
  (_question, { signal }) =>
    new Promise((resolve) => {
      $('#allow').hidden = false;
      $('#allow').addEventListener('click', () => resolve(true), { signal, once: true });
    }),
);
$('#prompt').addEventListener('click', async () => {
  for await (const { word } of agent.stream('prompt', { text: 'tea or cake' })) {
    $('#answer').append(`${word} `);
  }
});

const live = enter('/live');
live.subscribe('gauge:load', ({ data }) => ($('#load').textContent = data.value));
