import type { ClusterAnswers } from '../history/cluster-answers.js';
import {
  type EventHistory,
  type HistoryEvent,
  isFor,
  type RecordedEvent,
} from '../history/event-history.js';
import type { TopicKey } from '../history/history-key.js';
import { NOWHERE, type Position, positioned } from '../history/position.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import { fanOut } from '../manager/fan-out.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { HistoryReader, type ReaderServices, type ResumeStatus } from '../resume/history-reader.js';
import type { Clock } from '../time/clock.js';
import { type DeliveryReport, emptyReport } from '../wire/delivery-result.js';
import { encodeFrame } from '../wire/frame-encoding.js';
import { type Topic, topicFrame } from './topic.js';

/**
 * Is told where a connection begins in a topic; `'left'` for one that has left the topic before that is known. While the
 * history cannot be read, it is told where its client was. Returns whether its client has the position from it: only the
 * first call answers the client.
 */
export type WhenPlaced = (position: Position | 'left') => boolean;

/** The histories of topics: numbers the events, and sends each member those that it has missed. */
export class TopicHistories {
  readonly #services: ReaderServices<TopicKey>;
  #topicOf: (name: string) => Topic | undefined = () => undefined;
  // Subscriptions whose position is not known yet.
  readonly #waiting = new Map<HistoryReader<TopicKey>, WhenPlaced>();
  // Readers whose history could not be read when they began.
  readonly #late = new WeakSet<HistoryReader<TopicKey>>();

  constructor(
    readonly history: EventHistory<TopicKey>,
    clock: Clock,
    journal: Journal,
  ) {
    this.#services = {
      history,
      clock,
      newcomer: (key) => history.read(key, undefined),
      tell: (reader, status, position, missed) => this.#tell(reader, status, position, missed),
      gap: ({ context }) => journal.record('resume-gap', { subject: subjectOf(context) }),
      failed: (reader, error) => {
        const subject = subjectOf(reader.manager.context);
        journal.record('resume-failed', { subject, error });
        this.#late.add(reader);
        // The client is a member, and gets its events when they can be read. Only its position has to wait for that.
        this.#waiting.get(reader)?.(reader.requested ?? NOWHERE);
      },
    };
    history.useListener({
      recorded: ({ topic }, epoch, event) => this.#deliver(topic, epoch, event),
      doubtful: ({ topic }) => {
        for (const reader of this.#readersOf(topic)) reader.checkAgain();
      },
    });
  }

  /** Sets how topics are found. Called once, before anything is joined. */
  find(topicOf: (name: string) => Topic | undefined): void {
    this.#topicOf = topicOf;
  }

  /**
   * A connection joins a topic. It gets events when the returned reader is started.
   *
   * @param placed called before the first event
   */
  enter(
    manager: WebSocketManager,
    topic: Topic,
    position: Position | undefined,
    placed: WhenPlaced | undefined,
  ): HistoryReader<TopicKey> {
    const release = this.history.open(topic);
    const reader = new HistoryReader(this.#services, manager, topic, position, () => {
      release();
      this.#place(reader, 'left');
    });
    if (placed) this.#waiting.set(reader, placed);
    const details = topic.detailed(manager);
    details.reader?.leave();
    details.reader = reader;
    return reader;
  }

  /** Records an event, and sends it to the members on this node. */
  publish(topic: string, event: HistoryEvent): DeliveryReport {
    const outcome = this.history.append({ topic }, event);
    if (outcome === 'unwanted') return emptyReport();
    if (outcome !== 'on-its-way') return outcome;
    return { ...emptyReport(), queued: this.#topicOf(topic)?.members.size ?? 0 };
  }

  /** As {@link publish}; resolves to the reports of all nodes. */
  async publishAndReport(
    topic: string,
    event: HistoryEvent,
  ): Promise<{ here?: DeliveryReport; others?: ClusterAnswers<DeliveryReport> }> {
    const elsewhere = this.history.appendAndReport?.({ topic }, event);
    return elsewhere ? { others: await elsewhere } : { here: this.publish(topic, event) };
  }

  dispose(): void {
    this.history.dispose();
  }

  #tell(
    reader: HistoryReader<TopicKey>,
    status: ResumeStatus,
    position: Position,
    missed: number | undefined,
  ): void {
    const isLate = this.#place(reader, position) === false || this.#late.has(reader);
    if (status !== 'live') return this.#send(reader, status, position, missed);
    if (!isLate) return;
    // It was a member before: what other nodes have sent since then may have come before the position.
    this.#send(reader, 'gap', position);
    this.#services.gap(reader.manager);
  }

  #send(
    { manager, key }: HistoryReader<TopicKey>,
    status: ResumeStatus,
    position: Position,
    missed?: number,
  ): void {
    const body = encodeFrame('resume', { status, ...(missed !== undefined && { missed }) })!;
    manager.sendFrame(positioned(topicFrame(body, key.topic), position));
  }

  // Returns whether the client has its position from the reply; `undefined` where no reply waits for it.
  #place(reader: HistoryReader<TopicKey>, at: Position | 'left'): boolean | undefined {
    const placed = this.#waiting.get(reader);
    this.#waiting.delete(reader);
    return placed?.(at);
  }

  #deliver(name: string, epoch: string, event: RecordedEvent): DeliveryReport {
    const topic = this.#topicOf(name);
    if (!topic) return emptyReport();
    const at = { epoch, offset: event.offset };
    const { clock } = this.#services;
    return fanOut(topic.audience(), positioned(event.body, at), clock, (manager, frame, write) => {
      const reader = topic.detailsOf(manager)?.reader;
      if (reader) return reader.hear(at, event, frame, write);
      return isFor(event, manager.context) ? write(manager, frame) : undefined;
    });
  }

  #readersOf(name: string): HistoryReader<TopicKey>[] {
    const topic = this.#topicOf(name);
    if (!topic) return [];
    return [...topic.members].flatMap((manager) => topic.detailsOf(manager)?.reader ?? []);
  }
}
