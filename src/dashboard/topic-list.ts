import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Clock } from '../time/clock.js';
import type { KeptEvents } from '../history/event-history.js';
import type { Topic } from '../topics/topic.js';
import type { Topics } from '../topics/topics.service.js';
import { Largest } from './largest.js';
import type { Pseudonyms } from './pseudonyms.js';
import { CHUNK, patternOf, type Searches } from './searches.js';

/** One row of the list. */
export interface TopicRow {
  readonly topic: string;
  /** Connections of this process. */
  readonly members: number;
  /** Users of this process; `null` for a topic with so many connections that counting would take long. */
  readonly users: number | null;
  /** Messages to the members since the topic has had some. */
  readonly messages: number;
  /** What is kept in the memory of this process; `null` where nothing is kept there. */
  readonly history: KeptEvents | null;
}

export interface TopicPage {
  readonly rows: readonly TopicRow[];
  /** The number of topics, or of those that match the search. */
  readonly total: number;
  /** Only the largest topics are listed. */
  readonly isCapped: boolean;
  readonly page: number;
  readonly pages: number;
  /** Monotonic milliseconds, for rates. */
  readonly at: number;
}

export interface TopicQuery {
  /** Part of the name, case-insensitive; empty for all. */
  readonly search: string;
  /** The number of the page, from 1. */
  readonly page: number;
  /** For a viewer who sees pseudonyms: the search is one of them. */
  readonly pseudonyms?: Pseudonyms | undefined;
}

const PAGE_SIZE = 25;
/** Topics that can be reached without a narrower search. */
const MAX_LISTED = 1_000;
/** Members of a topic up to which its users are counted at each look, where nothing else counts them. */
const MAX_COUNTED = 1_000;
/** Pseudonyms whose topics are remembered. */
const MAX_KNOWN = 100;

/** Pages of topics with members on this process, the largest first. A walk yields to the event loop in between. */
export class TopicList {
  readonly #known = new Map<string, string>();

  constructor(
    private readonly topics: Topics,
    private readonly searches: Searches,
    private readonly clock: Clock,
  ) {}

  /** @throws {ServiceUnavailableException} when too many searches wait already */
  read(query: TopicQuery): Promise<TopicPage> {
    return this.searches.run(() => this.#find(query));
  }

  /**
   * The name of the topic with a pseudonym. Remembered, because an open topic is looked at every few seconds.
   *
   * @throws {ServiceUnavailableException} when too many searches wait already
   */
  async nameOf(pseudonym: string, pseudonyms: Pseudonyms): Promise<string | undefined> {
    const known = this.#known.get(pseudonym);
    if (known !== undefined) return known;
    let found: string | undefined;
    await this.searches.run(() =>
      this.#visit(({ topic }) => {
        if (pseudonyms.isOfTopic(pseudonym, topic)) found = topic;
      }),
    );
    if (found === undefined) return undefined;
    if (this.#known.size === MAX_KNOWN) this.#known.clear();
    this.#known.set(pseudonym, found);
    return found;
  }

  async #visit(visit: (topic: Topic) => void): Promise<void> {
    let looked = 0;
    for (const topic of this.topics.all()) {
      looked += 1;
      if (looked % CHUNK === 0) await nextTurn();
      visit(topic);
    }
  }

  async #find({ search, page, pseudonyms }: TopicQuery): Promise<TopicPage> {
    const matches = search === '' ? undefined : matcherOf(search, pseudonyms);
    const largest = new Largest<Topic>(MAX_LISTED, ({ members }) => members.size);
    let total = 0;
    await this.#visit((topic) => {
      if (matches && !matches(topic)) return;
      total += 1;
      largest.add(topic);
    });
    const found = largest.sorted();
    const pages = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
    const current = Math.min(page, pages);
    const shown = found.slice((current - 1) * PAGE_SIZE, current * PAGE_SIZE);
    return {
      rows: shown.map((topic) => topicRow(topic, this.topics)),
      total,
      isCapped: total > found.length,
      page: current,
      pages,
      at: this.clock.now(),
    };
  }
}

export function topicRow(topic: Topic, { histories }: Topics): TopicRow {
  return {
    topic: topic.topic,
    members: topic.members.size,
    users: usersOf(topic),
    messages: topic.messages,
    history: histories?.history.kept?.(topic) ?? null,
  };
}

function matcherOf(search: string, pseudonyms?: Pseudonyms): (topic: Topic) => boolean {
  if (pseudonyms) return ({ topic }) => pseudonyms.isOfTopic(search, topic);
  const pattern = patternOf(search);
  return ({ topic }) => pattern.test(topic);
}

function usersOf({ users, members }: Topic): number | null {
  if (users) return users.size;
  if (members.size > MAX_COUNTED) return null;
  return new Set([...members].map(({ context }) => context.userId)).size;
}
