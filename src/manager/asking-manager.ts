import type { AskOptions, ClientAnswer } from './asks.js';
import { ManagerClosedError } from './manager.errors.js';
import { TopicMember } from './topic-member.js';

/**
 * The part of a manager that asks its client. It has no fields: open questions are kept beside the managers, so that a
 * connection without any takes no memory for them.
 */
export abstract class AskingManager extends TopicMember {
  /**
   * Asks the client: sends `{"event", "data", "ask"}`, and resolves with the data of its answer
   * (`{"event": "answer", "ask", "data"}`). Answers pass by the queue of messages, so a handler may await one.
   *
   * @example `const isSure = await manager.ask<boolean>('confirm', { text: 'Delete it?' });`
   * @throws {AskTimeoutError} after `timeoutMs`, by default 10 seconds
   * @throws {AskRejectedError} when the client answers with an error
   * @throws {AskLimitError} when `inbound.maxAsks` questions to this connection are open
   * @throws {ManagerClosedError} when the connection closes, or is closed
   * @throws {SendFailedError} when the question could not be sent
   * @throws the reason of `signal`, once it is aborted
   */
  ask<T = unknown>(event: string, data?: unknown, options?: AskOptions): Promise<T> {
    if (!this.isActive) return Promise.reject(new ManagerClosedError('ask'));
    return this.owner.asks.ask([this], event, data, options) as Promise<T>;
  }

  /** @internal Handles an answer of the client. */
  answered(answer: ClientAnswer): void {
    this.owner.asks.answer(this, answer);
  }
}
