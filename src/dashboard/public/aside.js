import { $, el, setText } from './dom.js';
import { keepFocus, reconcile } from './reconcile.js';

// The details of one thing beside its list, while they are open. The focus returns to where it was.

export class Aside {
  #key;

  constructor(root, { onClose }) {
    this.root = root;
    this.onClose = onClose;
    $('.close', root).addEventListener('click', () => this.close());
    root.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') this.close();
    });
  }

  /** What is shown: the id of a connection, the name of a topic. */
  get key() {
    return this.#key;
  }

  async open(key) {
    // From one to the next inside the details, the focus returns to where the first was opened.
    if (!this.root.contains(document.activeElement)) this.opener = document.activeElement;
    this.#key = key;
    this.root.hidden = false;
    this.clear();
    setText($('.is-gone', this.root), '');
    await this.refresh();
    $('h3', this.root).focus();
  }

  close() {
    this.#key = undefined;
    this.root.hidden = true;
    this.onClose();
    keepFocus(this.opener, this.root.parentElement);
  }

  async refresh() {
    const key = this.#key;
    if (key === undefined) return;
    const answer = await this.read(key);
    // Another one may have been selected meanwhile.
    if (key === this.#key) this.render(answer);
  }

  /** Shows that the last values are those of something that has ended. */
  showGone(isGone, text) {
    this.root.classList.toggle('gone', isGone);
    setText($('.is-gone', this.root), isGone ? text : '');
    const focused = this.root.contains(document.activeElement) ? document.activeElement : undefined;
    for (const button of this.root.querySelectorAll('button.danger')) button.disabled = isGone;
    keepFocus(focused, this.root);
  }
}

export function renderFacts(list, facts) {
  reconcile(
    list,
    facts,
    ([name]) => name,
    ([name]) => el('div', {}, el('dt', {}, name), el('dd')),
    (entry, [, value]) => setText($('dd', entry), value),
  );
}

/** A list of things that can be opened, each with a button for those who may act. */
export function renderEntries(list, entries, { onPick, label, remove, removeLabel }) {
  reconcile(
    list,
    entries,
    ({ name }) => name,
    ({ name }) => {
      const open = el('button', { type: 'button', className: 'link', title: name }, name);
      open.setAttribute('aria-label', label(name));
      open.addEventListener('click', () => onPick(name));
      const button = el('button', { type: 'button', className: 'acting danger small' }, 'Remove');
      button.setAttribute('aria-label', removeLabel(name));
      button.addEventListener('click', () => remove(name));
      return el('li', {}, open, el('span', { className: 'count' }), button);
    },
    (entry, { note }) => setText($('.count', entry), note),
  );
}
