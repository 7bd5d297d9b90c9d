import type { ClusterAnswers } from '../history/cluster-answers.js';
import {
  type EventHistory,
  type HistoryEvent,
  isFor,
  type RecordedEvent,
} from '../history/event-history.js';
import type { TopicKey } from '../history/history-key.js';
import { type Position, positioned } from '../history/position.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import { fanOut } from '../manager/fan-out.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { HistoryReader, type ReaderServices, type ResumeStatus } from '../resume/history-reader.js';
import type { Clock } from '../time/clock.js';
import { type DeliveryReport, emptyReport } from '../wire/delivery-result.js';
import { encodeFrame } from '../wire/frame-encoding.js';
import { type Topic, topicFrame } from './topic.js';

/** Is told once where a connection begins in a topic; `'left'` for one that has left the topic before that is known. */
export type WhenPlaced = (position: Position | 'left') => void;

/** The histories of topics: numbers the events, and sends each member those that it has missed. */
export class TopicHistories {
  readonly #services: ReaderServices<TopicKey>;
  #topicOf: (name: string) => Topic | undefined = () => undefined;
  // Subscriptions whose reply waits for the position.
  readonly #waiting = new Map<HistoryReader<TopicKey>, WhenPlaced>();

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
      failed: ({ context }, error) =>
        journal.record('resume-failed', { subject: subjectOf(context), error }),
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
    this.#place(reader, position);
    if (status === 'live') return;
    const body = encodeFrame('resume', { status, ...(missed !== undefined && { missed }) })!;
    reader.manager.sendFrame(positioned(topicFrame(body, reader.key.topic), position));
  }

  #place(reader: HistoryReader<TopicKey>, at: Position | 'left'): void {
    const placed = this.#waiting.get(reader);
    this.#waiting.delete(reader);
    placed?.(at);
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
