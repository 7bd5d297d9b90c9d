import { $, setText } from './dom.js';
import { keepFocus } from './reconcile.js';
import { ask } from './server.js';
import { whole } from './words.js';

// A list with a search and pages. The server searches and sends one page of the result.

const REFRESH_MS = 5_000;
const TYPING_MS = 250;

export class PagedList {
  #page = 1;
  #pages = 1;
  #abort;
  #askedAt = 0;
  #typing;

  /** `name`: what the server calls the list; `pages`: the element with the two buttons and the number in between. */
  constructor({ name, search, pages, query = () => ({}), render, onProblem }) {
    Object.assign(this, { name, search, pages, query, render, onProblem });
    search.addEventListener('input', () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.restart(), TYPING_MS);
    });
    $('button:first-child', pages).addEventListener('click', () => this.#turn(-1));
    $('button:last-child', pages).addEventListener('click', () => this.#turn(1));
  }

  get isSearch() {
    return this.search.value.trim() !== '';
  }

  /** Called with every update of the state; loads the list again when it is due. */
  refresh() {
    if (performance.now() - this.#askedAt >= REFRESH_MS - 100) void this.load();
  }

  restart() {
    this.#page = 1;
    void this.load();
  }

  async load() {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.#askedAt = performance.now();
    const query = { ...this.query(), search: this.search.value, page: this.#page };
    try {
      const answer = await ask(this.name, query, abort.signal);
      if (abort.signal.aborted) return;
      this.#showPages(answer);
      this.render(answer);
    } catch (error) {
      if (!abort.signal.aborted) this.onProblem(error);
    }
  }

  #turn(by) {
    this.#page = Math.min(this.#pages, Math.max(1, this.#page + by));
    void this.load();
  }

  #showPages({ page, pages }) {
    this.#page = page;
    this.#pages = pages;
    const focused = this.pages.contains(document.activeElement)
      ? document.activeElement
      : undefined;
    this.pages.hidden = pages === 1;
    setText($('span', this.pages), `Page ${whole(page)} of ${whole(pages)}`);
    $('button:first-child', this.pages).disabled = page <= 1;
    $('button:last-child', this.pages).disabled = page >= pages;
    keepFocus(focused, this.pages);
  }
}
