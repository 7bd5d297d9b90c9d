import type { AnyContract } from '../contract/contract.js';
import type {
  CallArgs,
  EventOf,
  NoContract,
  ReceivedReply,
  WithoutContract,
} from '../contract/message-types.js';
import type { AskOptions } from './asking.js';
import type { OpenWork } from './asks.js';
import { ManagerClosedError, SendFailedError } from './manager.errors.js';
import type { ClientAnswer } from './question.js';
import { TopicMember } from './topic-member.js';

/**
 * The part of a manager that asks its client. It has no fields: open questions are kept beside the managers, so that a
 * connection without any takes no memory for them.
 */
export abstract class AskingManager<C extends AnyContract = NoContract> extends TopicMember<C> {
  /**
   * Asks the client: sends `{"event", "data", "ask"}`, and resolves with the data of its answer
   * (`{"event": "answer", "ask", "data"}`). Answers skip the queue of messages, so a handler may await one.
   *
   * @example `const isSure = await manager.ask<boolean>('confirm', { text: 'Delete it?' });`
   * @throws {AskTimeoutError} after `timeoutMs`, by default 10 seconds
   * @throws {AskRejectedError} when the client answers with an error
   * @throws {AskLimitError} when `inbound.maxAsks` questions to this connection are open
   * @throws {ManagerClosedError} when the connection closes, or is closed
   * @throws {SendFailedError} when the question could not be sent
   * @throws the reason of `signal`, once it is aborted
   */
  ask<T = unknown>(event: WithoutContract<C>, data?: unknown, options?: AskOptions): Promise<T>;
  ask<Event extends EventOf<C['asks']>>(
    event: Event,
    ...asked: CallArgs<C['asks'], Event, AskOptions>
  ): Promise<ReceivedReply<C['asks'], Event>>;
  ask(event: string, data?: unknown, options?: AskOptions): Promise<unknown> {
    if (!this.isActive) return Promise.reject(new ManagerClosedError('ask'));
    const none = (): Error =>
      this.isActive
        ? new SendFailedError('no socket took the question')
        : new ManagerClosedError('ask');
    const reach = { target: this.context, managers: [this], none };
    return this.owner.asks.ask(reach, event, data, options);
  }

  /** The streams and observables that handlers of this connection have returned and that are open. */
  get openStreams(): readonly OpenWork[] {
    return this.hooks?.openStreams ?? [];
  }

  /** The questions to this connection that have no answer yet, the oldest first. */
  get openAsks(): readonly OpenWork[] {
    return this.owner.asks.of(this);
  }

  /** @internal Whether the client is asked something, and may answer. */
  get isAsked(): boolean {
    return this.owner.asks.isAsked(this);
  }

  /** @internal The client is asked: its answer has to be read. */
  asked(): void {
    this.hooks?.asked?.();
  }

  /** @internal The connection is ready: asks it the open questions of its thread. */
  cameBack(): void {
    this.owner.asks.cameBack(this);
  }

  /** @internal Handles an answer of the client. */
  answered(answer: ClientAnswer): void {
    this.owner.asks.answer(this, answer);
  }

  /** @internal The event of the open question that an answer is for, if no other answer of the client is checked. */
  claimAnswer(answer: ClientAnswer): string | undefined {
    return this.owner.asks.claim(this, answer);
  }
}
