import type { Observable, Subscription } from 'rxjs';

import { runInContext } from '../context/running-code.js';
import { MessageRefusedError } from '../handlers/exception-reply.js';
import { answer, answerRefusal } from './answers.js';
import {
  isPullable,
  PulledStream,
  type PullableSource,
  type StreamingConnection,
} from './pulled-stream.js';
import { RunningCall } from './running-call.js';

/** How many observables that handlers returned may be open on one connection. */
const MAX_OBSERVABLES = 1_000;

/** The open streams of one connection: what handlers returned that is more than one value. */
export class Streams {
  readonly #observables = new Set<Subscription>();
  readonly #pulled = new Map<PulledStream, Disposable>();

  constructor(private readonly connection: StreamingConnection) {}

  /** Streams that are open. */
  get size(): number {
    return this.#observables.size + this.#pulled.size;
  }

  /** Sends what an observable emits, at the speed at which it emits. */
  subscribe(source: Observable<unknown>, call: RunningCall): void {
    if (this.#observables.size >= MAX_OBSERVABLES) return this.#refuse(call);
    const { connection } = this;
    // With interceptors, the method is called on subscription, and may return a stream that is pulled.
    const isStream = (): boolean => !call.plan.isIntercepted || call.isStream;
    let isPulled = false;
    const reply = (value: unknown): void => {
      if (call.plan.isIntercepted && isPullable(value)) {
        isPulled = true;
        this.pull(value, call);
      } else void answer(connection, value, call, isStream());
    };
    const fail = (error: unknown): void => connection.fail(error, call);
    // A source that connections share emits in the async context of the code that makes it emit.
    const stream = source.subscribe({
      next: (value) => runInContext(call.code, reply, value),
      error: (error: unknown) => runInContext(call.code, fail, error),
      complete: () => {
        if (isStream()) call.reply?.complete(call);
        runInContext(call.code, RunningCall.settle, call);
      },
    });
    // The method has ended, and an open stream takes no place among the running handlers. With interceptors, the
    // pipeline reports the end of the method.
    if (!call.plan.isIntercepted) call.settled();
    if (!stream.closed) this.#observables.add(stream);
    // Called at once where the stream has ended already.
    stream.add(() => {
      this.#observables.delete(stream);
      if (!isPulled) connection.over(call, 'ok');
    });
  }

  /** Sends the items of a source, at the speed at which the client reads. The stream pins the connection. */
  pull(source: PullableSource, call: RunningCall): void {
    const { manager, services } = this.connection;
    if (this.#pulled.size >= services.options.inbound.maxStreams) return this.#refuse(call);
    const stream = new PulledStream(this.connection, source, call, (ended) => this.#ended(ended));
    this.#pulled.set(stream, manager.pin(`stream of ${String(call.message.event).slice(0, 64)}`));
    call.stop = () => stream.stop();
    call.settled();
    void runInContext(call.code, () => stream.run(), undefined);
  }

  /** Ends all streams. Resolves when the sources that are pulled have ended, or were abandoned. */
  end(): Promise<void> | undefined {
    for (const observable of this.#observables) {
      try {
        observable.unsubscribe();
      } catch (error) {
        this.connection.streamFailed(error);
      }
    }
    if (this.#pulled.size === 0) return undefined;
    const ends = [...this.#pulled.keys()].map(async (stream) => stream.stop());
    return Promise.all(ends).then(nothing);
  }

  #ended(stream: PulledStream): void {
    this.#pulled.get(stream)?.[Symbol.dispose]();
    this.#pulled.delete(stream);
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
