import { randomBytes, timingSafeEqual } from 'node:crypto';

import { BadRequestException, type ExecutionContext, Inject, Injectable } from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { type Cluster, CLUSTER } from '../cluster/cluster.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import type { PageRequest } from '../pages/page-request.js';
import { Topics } from '../topics/topics.service.js';
import { BUCKET_MS } from './cleanup-timeline.js';
import { readConnection } from './connection-detail.js';
import {
  ConnectionList,
  type ConnectionPage,
  type ConnectionView,
  VIEWS,
} from './connection-list.js';
import { DASHBOARD_OPTIONS, type ResolvedDashboardOptions } from './dashboard.options.js';
import { HISTORY_MS, SAMPLE_MS } from './history.js';
import { Overview } from './overview.js';
import type { Pseudonyms } from './pseudonyms.js';
import { Searches } from './searches.js';
import { readTopic } from './topic-detail.js';
import { TopicList, type TopicPage } from './topic-list.js';
import { Viewers } from './viewers.js';
import { Watch } from './watch.js';

/** The header that carries the page's token. A page of another site cannot send it. */
export const TOKEN_HEADER = 'x-dashboard-token';

const MAX_SEARCH = 256;

type Query = Readonly<Record<string, unknown>>;

/** The data that the page polls every few seconds. */
@Injectable()
export class DashboardApi {
  readonly #token = randomBytes(24).toString('base64url');
  readonly #connections: ConnectionList;
  readonly #topics: TopicList;

  constructor(
    @Inject(DASHBOARD_OPTIONS) private readonly options: ResolvedDashboardOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    private readonly viewers: Viewers,
    private readonly watch: Watch,
    private readonly overview: Overview,
    private readonly topicsHere: Topics,
    private readonly factory: WebSocketManagerFactory,
    @Inject(CLUSTER) private readonly cluster: Cluster | undefined,
  ) {
    const searches = new Searches();
    this.#connections = new ConnectionList(registry, searches, clock);
    this.#topics = new TopicList(topicsHere, searches, clock);
  }

  /** Whether a request carries the token that this process gave to viewers who may act. */
  isOwnToken({ headers }: PageRequest): boolean {
    const given = Buffer.from(String(headers[TOKEN_HEADER] ?? ''));
    const own = Buffer.from(this.#token);
    return given.length === own.length && timingSafeEqual(given, own);
  }

  /** The state of the process, with the samples and events that are new since the last request of the page. */
  async state(context: ExecutionContext, query: Query): Promise<object> {
    this.watch.admit(query['viewer']);
    const mayAct = await this.viewers.mayAct(context);
    const seesIds = mayAct || (await this.viewers.maySeeIds(context));
    const { history, feed, cleanups } = this.watch;
    return {
      ...(await this.overview.read()),
      access: { mayAct, seesIds, token: mayAct ? this.#token : null },
      viewers: { watching: this.watch.viewers, limit: this.options.maxViewers },
      history: {
        stepMs: SAMPLE_MS,
        spanMs: HISTORY_MS,
        samples: history.since(numberIn(query, 'since')),
      },
      events: { latest: feed.latest, items: feed.after(numberIn(query, 'after')) },
      cleanups: { bucketMs: BUCKET_MS, buckets: cleanups.read() },
    };
  }

  async connections(query: Query, pseudonyms?: Pseudonyms): Promise<ConnectionPage> {
    this.watch.admit(query['viewer']);
    const { view = 'all' } = query;
    if (!VIEWS.includes(view as ConnectionView)) {
      throw new BadRequestException(`Expected \`view\` to be one of ${VIEWS.join(', ')}.`);
    }
    return this.#connections.read({ view: view as ConnectionView, ...pageIn(query), pseudonyms });
  }

  async topics(query: Query, pseudonyms?: Pseudonyms): Promise<TopicPage> {
    this.watch.admit(query['viewer']);
    return this.#topics.read({ ...pageIn(query), pseudonyms });
  }

  /** @param pseudonyms for a viewer who sees them: only they name a topic, so that names cannot be tried out */
  async topic(query: Query, pseudonyms?: Pseudonyms): Promise<object> {
    this.watch.admit(query['viewer']);
    const { name: given } = query;
    if (typeof given !== 'string') return { topic: null };
    const name = pseudonyms ? await this.#topics.nameOf(given, pseudonyms) : given;
    const found = name === undefined ? undefined : readTopic(name, this.topicsHere, this.registry);
    return { topic: found ?? null };
  }

  async connection(query: Query): Promise<object> {
    this.watch.admit(query['viewer']);
    const { registry, limits, clock } = this;
    // A repeated parameter (`?id=a&id=b`) is an array. As one text, it could be the id of another connection.
    const { id } = query;
    const found = typeof id === 'string' ? readConnection(id, registry, limits, clock) : undefined;
    if (!found) return { connection: null };
    return { connection: { ...found, elsewhere: await this.#elsewhere(found.userId) } };
  }

  // The user's connections on the other nodes that respond in time, counted by the name of the node.
  async #elsewhere(userId: string): Promise<{ node: string; connections: number }[]> {
    if (!this.cluster) return [];
    const { nodeId, nodes } = this.cluster.status();
    const names = new Map(nodes.map((node) => [node.nodeId, node.name]));
    const counts = new Map<string, number>();
    for (const connection of await this.factory.connectionsOf(userId)) {
      if (connection.nodeId === nodeId) continue;
      const node = names.get(connection.nodeId) ?? connection.nodeId;
      counts.set(node, (counts.get(node) ?? 0) + 1);
    }
    return [...counts].map(([node, connections]) => ({ node, connections }));
  }
}

function pageIn(query: Query): { search: string; page: number } {
  const { search = '' } = query;
  if (typeof search !== 'string' || search.length > MAX_SEARCH) {
    throw new BadRequestException('Expected `search` to be a text of at most 256 characters.');
  }
  return { search: search.trim(), page: Math.max(1, Math.floor(numberIn(query, 'page'))) };
}

function numberIn(query: Query, name: string): number {
  const value = Number(query[name] ?? 0);
  return Number.isFinite(value) ? value : 0;
}
