import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Clock } from '../time/clock.js';
import type { ManagerRegistry } from '../manager/manager-registry.js';
import type { ManagerState, WebSocketManager } from '../manager/web-socket-manager.js';
import { CHUNK, patternOf, type Searches } from './searches.js';

/** The views of the list: which connections it shows, and in which order. */
export const VIEWS = ['all', 'recent', 'idle', 'pinned', 'closing', 'unattached'] as const;
export type ConnectionView = (typeof VIEWS)[number];

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
  /** More than `total` connections match: the search has stopped. */
  readonly isCapped: boolean;
  readonly page: number;
  readonly pages: number;
}

export interface ConnectionQuery {
  readonly view: ConnectionView;
  /** Part of a user's or thread's id, case-insensitive, or of a connection's id, case-sensitive; empty for all. */
  readonly search: string;
  /** The number of the page, from 1. */
  readonly page: number;
}

export const PAGE_SIZE = 25;
/** Pages that can be reached without a search. */
const MAX_PAGES = 200;
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
    if (query.search === '') return this.#browse(query);
    return this.searches.run(() => this.#find(query));
  }

  #browse({ view, page }: ConnectionQuery): ConnectionPage {
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
    return this.#page(shown, { page: current, pages, total: size, isCapped: false });
  }

  async #find({ view, search, page }: ConnectionQuery): Promise<ConnectionPage> {
    const pattern = patternOf(search);
    const matches: WebSocketManager[] = [];
    let looked = 0;
    let isCapped = false;
    for (const manager of this.registry.all()) {
      looked += 1;
      if (looked % CHUNK === 0) await nextTurn();
      if (!this.#isIn(view, manager) || !isMatch(pattern, search, manager)) continue;
      if (matches.length === MAX_MATCHES) {
        isCapped = true;
        break;
      }
      matches.push(manager);
    }
    if (view === 'recent') matches.sort((a, b) => b.lastActivityAt - a.lastActivityAt);
    if (view === 'idle') matches.sort((a, b) => a.lastActivityAt - b.lastActivityAt);
    const pages = Math.max(1, Math.ceil(matches.length / PAGE_SIZE));
    const current = Math.min(page, pages);
    const shown = matches.slice((current - 1) * PAGE_SIZE, current * PAGE_SIZE);
    return this.#page(shown, { page: current, pages, total: matches.length, isCapped });
  }

  #source(view: ConnectionView): { members: Iterable<WebSocketManager>; size: number } {
    const { registry } = this;
    if (view === 'all') return { members: registry.all(), size: registry.size };
    const list = registry[view === 'recent' ? 'idle' : view];
    return { members: view === 'recent' ? list.backwards() : list, size: list.size };
  }

  #isIn(view: ConnectionView, { fleetLink }: WebSocketManager): boolean {
    return view === 'all' || fleetLink.list === this.registry[view === 'recent' ? 'idle' : view];
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

// All ids of connections begin with the same letters, so a short search does not match them.
function isMatch(pattern: RegExp, search: string, { context }: WebSocketManager): boolean {
  const { userId, threadId, connectionId } = context;
  if (search.length >= SHORTEST_ID_PART && connectionId.includes(search)) return true;
  return pattern.test(userId) || pattern.test(threadId);
}
