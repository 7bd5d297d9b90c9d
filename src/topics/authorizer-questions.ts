import { isClientFault } from '../errors/http-status.js';
import { askWhileOpen, CLOSED } from '../handshake/ask-while-open.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock } from '../time/clock.js';
import { TIMED_OUT } from '../time/deadline.js';
import type { Grant, TopicAuthorization } from './topic-authorization.js';

/** Asks the authorizer on behalf of open connections, within a deadline. What fails is refused, and in the log. */
export class AuthorizerQuestions {
  constructor(
    private readonly authorization: TopicAuthorization,
    private readonly timeoutMs: number,
    private readonly clock: Clock,
    private readonly journal: Journal,
  ) {}

  /**
   * The grant; `undefined` for a refusal, an error, no answer within the deadline, or a connection that closes. The
   * authorizer gets the identity that the connection has now.
   *
   * @param revoked aborted when the client has given the topic up: the authorizer is told, and still waited for
   */
  async ask(
    manager: WebSocketManager,
    topic: string,
    revoked?: AbortSignal,
  ): Promise<Grant | undefined> {
    const { clock, timeoutMs } = this;
    let asked: AbortSignal | undefined;
    try {
      const grant = await askWhileOpen(clock, timeoutMs, manager.signal, (open) => {
        asked = revoked ? AbortSignal.any([open, revoked]) : open;
        return this.authorization.ask(manager.identity, topic, asked);
      });
      if (grant === CLOSED) return undefined;
      if (grant !== TIMED_OUT) return grant;
      const late = `The authorizer of topics has not answered within ${timeoutMs} ms.`;
      this.failed(manager, new Error(late));
    } catch (error) {
      // An exception of 4xx is an answer of the app, and no fault.
      if (!asked?.aborted && !isClientFault(error)) this.failed(manager, error);
    }
    return undefined;
  }

  /** Records a fault of the authorizer, or of a grant that it gave. */
  failed(manager: WebSocketManager, error: unknown): void {
    manager.fail(error);
    const subject = subjectOf(manager.context);
    this.journal.record('hook-failed', { subject, hook: 'topics.authorizer', error });
  }
}
