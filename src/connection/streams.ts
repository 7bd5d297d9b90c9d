import { isObservable, type Observable, type Subscription } from 'rxjs';

import { runInContext } from '../context/running-code.js';
import type { OpenWork } from '../manager/asks.js';
import { MessageRefusedError } from '../handlers/exception-reply.js';
import { answer, answerRefusal } from './answers.js';
import {
  isPullable,
  PulledStream,
  type PulledStreams,
  type PullableSource,
  type StreamingConnection,
} from './pulled-stream.js';
import type { LocalPolicy } from '../wire/send-policy.js';
import { RunningCall } from './running-call.js';
import { StreamRecord } from './stream-record.js';
import { letGo } from './unserializable-answer.js';

/** How many observables that handlers returned may be open on one connection. */
const MAX_OBSERVABLES = 1_000;

/** An observable that is open, and its record, unless its handler is intercepted and has returned one value. */
interface OpenObservable {
  record: StreamRecord | undefined;
}

/** The open streams of one connection: what handlers returned that is more than one value. */
export class Streams implements PulledStreams {
  readonly #observables = new Map<Subscription, OpenObservable>();
  // An abandoned stream keeps its place until its source ends.
  readonly #pulled = new Map<PulledStream, Disposable>();

  constructor(private readonly connection: StreamingConnection) {}

  /** The streams that are open. */
  get list(): OpenWork[] {
    const records = [...this.#observables.values(), ...this.#pulled.keys()];
    return records.flatMap(({ record }) => record?.open ?? []);
  }

  /** Sends what a handler has returned. */
  open(source: Observable<unknown> | PullableSource, call: RunningCall): void {
    const { connection } = this;
    if (!connection.manager.isActive) {
      // With interceptors, the method is called on subscription: it has not run, so the message is dropped.
      if (call.plan.isIntercepted && !call.isReleased) connection.mayStartNow(call);
      letGo(source);
      return connection.over(call, 'ok');
    }
    if (isObservable(source)) this.#subscribe(source, call);
    else this.#pull(source, call);
  }

  // Sends what an observable emits, at the speed at which it emits; see `outbound.onStreamOverflow`.
  #subscribe(source: Observable<unknown>, call: RunningCall): void {
    if (this.#observables.size >= MAX_OBSERVABLES) return this.#refuse(call);
    const { connection } = this;
    // With interceptors, the method is called on subscription, and may return a stream that is pulled.
    const isStream = (): boolean => !call.plan.isIntercepted || call.isStream;
    const open: OpenObservable = { record: undefined };
    const record = (): StreamRecord | undefined => {
      if (!open.record && isStream()) open.record = new StreamRecord(connection, call);
      return open.record;
    };
    let isPulled = false;
    const reply = (value: unknown): void => {
      if (call.plan.isIntercepted && isPullable(value)) {
        isPulled = true;
        // Looks at the connection again: it may be closing by now.
        return this.open(value, call);
      }
      const isItem = isStream();
      const policy = isItem ? this.#overflow(call) : undefined;
      const isSaid = answer(connection, value, call, isItem, policy);
      const known = record();
      if (known && isSaid) known.items += 1;
    };
    // What was kept goes before the end of the stream.
    const sendKept = (): void => connection.manager.releaseLatest(call);
    const fail = (error: unknown): void => {
      sendKept();
      record()?.ends('failed', error);
      connection.fail(error, call);
    };
    let stream: Subscription | undefined;
    let hasFailed = false;
    // RxJS throws an error of `next` again where no code can catch it, which ends the process.
    const next = (value: unknown): void => {
      if (hasFailed) return;
      try {
        reply(value);
      } catch (error) {
        hasFailed = true;
        fail(error);
        if (stream) this.#unsubscribe(stream);
      }
    };
    // A source that connections share emits in the async context of the code that makes it emit.
    stream = source.subscribe({
      next: (value) => runInContext(call.code, next, value),
      error: (error: unknown) => runInContext(call.code, fail, error),
      complete: () => {
        sendKept();
        record()?.ends('completed');
        if (isStream()) call.reply?.complete(call);
        runInContext(call.code, RunningCall.settle, call);
      },
    });
    // The method has ended, and an open stream takes no place among the running handlers. With interceptors, the
    // pipeline reports the end of the method.
    if (!call.plan.isIntercepted) call.settled();
    if (hasFailed) this.#unsubscribe(stream);
    const opened = stream;
    if (!opened.closed) {
      record();
      this.#observables.set(opened, open);
      call.stop ??= () => this.#cancel(opened, record(), call);
    }
    // Called at once where the stream has ended already.
    opened.add(() => {
      this.#observables.delete(opened);
      open.record?.ended();
      if (!isPulled) connection.over(call, 'ok');
    });
  }

  // Where an Observable emits faster than the client reads.
  #overflow(call: RunningCall): LocalPolicy | undefined {
    const { onStreamOverflow } = this.connection.services.options.outbound;
    if (onStreamOverflow === 'close') return undefined;
    return onStreamOverflow === 'drop' ? 'drop' : { latest: call };
  }

  // Sends the items of a source, at the speed at which the client reads. The stream pins the connection.
  #pull(source: PullableSource, call: RunningCall): void {
    const { connection } = this;
    const { manager, services } = connection;
    if (this.#pulled.size >= services.options.inbound.maxStreams) {
      letGo(source);
      return this.#refuse(call);
    }
    const record = new StreamRecord(connection, call);
    const stream = new PulledStream(connection, source, call, record, this);
    this.#pulled.set(stream, manager.pin(record.label));
    call.stop = () => {
      record.ends('cancelled');
      return stream.stop();
    };
    call.settled();
    const run = (): void => record.run(() => void stream.run());
    runInContext(call.code, run, undefined);
  }

  /** Ends all streams. Resolves when the sources that are pulled have ended, or were abandoned. */
  end(): Promise<void> | undefined {
    for (const stream of this.#observables.keys()) this.#unsubscribe(stream);
    if (this.#pulled.size === 0) return undefined;
    const ends = [...this.#pulled.keys()].map(async (stream) => stream.stop());
    return Promise.all(ends).then(nothing);
  }

  finished(stream: PulledStream): void {
    this.#pulled.get(stream)?.[Symbol.dispose]();
  }

  gone(stream: PulledStream): void {
    this.#pulled.delete(stream);
  }

  // A handler that has returned one value, and not a stream, still replies with it.
  #cancel(stream: Subscription, record: StreamRecord | undefined, call: RunningCall): undefined {
    if (!record) return undefined;
    record.ends('cancelled');
    call.reply?.complete(call);
    runInContext(call.code, () => this.#unsubscribe(stream), undefined);
    return undefined;
  }

  #unsubscribe(stream: Subscription): void {
    try {
      stream.unsubscribe();
    } catch (error) {
      this.connection.streamFailed(error);
    }
  }

  #refuse(call: RunningCall): void {
    const error = new MessageRefusedError('TOO_MANY_STREAMS', 'Too many streams are open.');
    answerRefusal(this.connection, error, call.message, call.reply);
    this.connection.over(call, 'ok');
  }
}

function nothing(): void {
  // The results of the steps have been reported.
}
