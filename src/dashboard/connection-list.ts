import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Clock } from '../time/clock.js';
import type { ManagerRegistry } from '../manager/manager-registry.js';
import type { ManagerState, WebSocketManager } from '../manager/web-socket-manager.js';
import { Largest } from './largest.js';
import type { Pseudonyms } from './pseudonyms.js';
import { CHUNK, patternOf, type Searches } from './searches.js';

/** The views of the list: which connections it shows, and in which order. */
export const VIEWS = [
  'all',
  'recent',
  'idle',
  'queued',
  'slow',
  'pinned',
  'closing',
  'unattached',
] as const;
export type ConnectionView = (typeof VIEWS)[number];

/** The views that rank: connections without a rank are left out. */
const RANKS: Partial<Record<ConnectionView, (manager: WebSocketManager) => number | undefined>> = {
  recent: ({ lastActivityAt }) => lastActivityAt,
  idle: ({ lastActivityAt }) => -lastActivityAt,
  queued: ({ bufferedBytes }) => bufferedBytes || undefined,
  slow: ({ roundTripMs }) => roundTripMs,
};
/** The views that the registry keeps in their order, so that a page needs no walk over all connections. */
const LISTS = {
  recent: 'idle',
  idle: 'idle',
  pinned: 'pinned',
  closing: 'closing',
  unattached: 'unattached',
} as const;
type ListedView = keyof typeof LISTS;

/** One row of the list. */
export interface ConnectionRow {
  readonly connectionId: string;
  readonly userId: string;
  readonly threadId: string;
  readonly state: ManagerState;
  readonly ageMs: number;
  readonly idleMs: number;
  readonly roundTripMs: number | null;
  readonly queuedBytes: number;
  readonly pins: number;
}

export interface ConnectionPage {
  readonly rows: readonly ConnectionRow[];
  /** The number of connections in this view, or of those that match the search. */
  readonly total: number;
  readonly page: number;
  readonly pages: number;
}

export interface ConnectionQuery {
  readonly view: ConnectionView;
  /** Part of a user's or thread's id, case-insensitive, or of a connection's id, case-sensitive; empty for all. */
  readonly search: string;
  /** The number of the page, from 1. */
  readonly page: number;
  /** For a viewer who sees pseudonyms: the search is one of them, or part of a connection's id. */
  readonly pseudonyms?: Pseudonyms | undefined;
}

export const PAGE_SIZE = 25;
/** Pages that can be reached without a search. */
const MAX_PAGES = 200;
/** Matches that can be reached without a narrower search. */
const MAX_MATCHES = 1_000;
const SHORTEST_ID_PART = 6;

/**
 * Pages of connections. Without a search, the list is walked only up to the end of the page. A search walks over all
 * connections, and yields to the event loop in between.
 */
export class ConnectionList {
  constructor(
    private readonly registry: ManagerRegistry,
    private readonly searches: Searches,
    private readonly clock: Clock,
  ) {}

  /** @throws {ServiceUnavailableException} when too many searches wait already */
  async read(query: ConnectionQuery): Promise<ConnectionPage> {
    const { search, view } = query;
    if (search === '' && (view === 'all' || isListed(view))) return this.#browse(view, query.page);
    return this.searches.run(() => this.#find(query));
  }

  #browse(view: ListedView | 'all', page: number): ConnectionPage {
    const { members, size } = this.#source(view);
    const pages = Math.max(1, Math.min(MAX_PAGES, Math.ceil(size / PAGE_SIZE)));
    const current = Math.min(page, pages);
    const start = (current - 1) * PAGE_SIZE;
    const shown: WebSocketManager[] = [];
    let place = 0;
    for (const manager of members) {
      if (place >= start) shown.push(manager);
      place += 1;
      if (shown.length === PAGE_SIZE) break;
    }
    return this.#page(shown, { page: current, pages, total: size });
  }

  async #find({ view, search, page, pseudonyms }: ConnectionQuery): Promise<ConnectionPage> {
    const matches = search === '' ? undefined : matcherOf(search, pseudonyms);
    const rankOf = RANKS[view];
    const found = new Largest<WebSocketManager>(MAX_MATCHES, (it) => rankOf?.(it) ?? 0);
    let looked = 0;
    let total = 0;
    for (const manager of this.registry.all()) {
      looked += 1;
      if (looked % CHUNK === 0) await nextTurn();
      if (!this.#isIn(view, manager)) continue;
      if (matches && !matches(manager)) continue;
      total += 1;
      found.add(manager);
    }
    const sorted = found.sorted();
    const pages = Math.max(1, Math.ceil(sorted.length / PAGE_SIZE));
    const current = Math.min(page, pages);
    const shown = sorted.slice((current - 1) * PAGE_SIZE, current * PAGE_SIZE);
    return this.#page(shown, { page: current, pages, total });
  }

  #source(view: ListedView | 'all'): { members: Iterable<WebSocketManager>; size: number } {
    const { registry } = this;
    if (view === 'all') return { members: registry.all(), size: registry.size };
    const list = registry[LISTS[view]];
    return { members: view === 'recent' ? list.backwards() : list, size: list.size };
  }

  #isIn(view: ConnectionView, manager: WebSocketManager): boolean {
    if (isListed(view)) return manager.fleetLink.list === this.registry[LISTS[view]];
    return view === 'all' || RANKS[view]?.(manager) !== undefined;
  }

  #page(shown: readonly WebSocketManager[], numbers: Omit<ConnectionPage, 'rows'>): ConnectionPage {
    const now = this.clock.now();
    return { rows: shown.map((manager) => rowOf(manager, now)), ...numbers };
  }
}

export function rowOf(manager: WebSocketManager, now: number): ConnectionRow {
  const { connectionId, userId, threadId } = manager.context;
  return {
    connectionId,
    userId,
    threadId,
    state: manager.state,
    ageMs: now - manager.createdAt,
    idleMs: now - manager.lastActivityAt,
    roundTripMs: manager.roundTripMs ?? null,
    queuedBytes: manager.bufferedBytes,
    pins: manager.pins.length,
  };
}

function isListed(view: ConnectionView): view is ListedView {
  return view in LISTS;
}

type Matches = (manager: WebSocketManager) => boolean;

// All ids of connections begin with the same letters, so a short search does not match them.
function matcherOf(search: string, pseudonyms: Pseudonyms | undefined): Matches {
  const isPart = ({ context }: WebSocketManager): boolean =>
    search.length >= SHORTEST_ID_PART && context.connectionId.includes(search);
  if (pseudonyms) return (manager) => isPart(manager) || pseudonyms.isOf(search, manager.context);
  const pattern = patternOf(search);
  return (manager) =>
    isPart(manager) ||
    pattern.test(manager.context.userId) ||
    pattern.test(manager.context.threadId);
}
