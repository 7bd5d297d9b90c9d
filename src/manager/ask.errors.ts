import { IsolationError } from '../errors/isolation-error.js';

/** No client has answered a question in time. */
export class AskTimeoutError extends IsolationError {
  declare readonly code: 'ASK_TIMEOUT';

  constructor(
    readonly event: string,
    readonly timeoutMs: number,
  ) {
    super(
      'ASK_TIMEOUT',
      `No client has answered "${event.slice(0, 64)}" within ${timeoutMs} ms. ` +
        'Ask again, or give the answer more time with the option timeoutMs.',
    );
  }
}

/** The client has answered a question with an error. */
export class AskRejectedError extends IsolationError {
  declare readonly code: 'ASK_REJECTED';

  constructor(
    readonly event: string,
    /** The code that the client sent. Its text is not checked: do not show it to other users. */
    readonly clientCode: string,
    readonly clientMessage: string,
  ) {
    super(
      'ASK_REJECTED',
      `The client has refused "${event.slice(0, 64)}" with ${clientCode.slice(0, 64)}: ` +
        clientMessage.slice(0, 256),
    );
  }
}

/** A connection has as many open questions as it may have. */
export class AskLimitError extends IsolationError {
  declare readonly code: 'ASK_LIMIT';

  constructor(readonly limit: number) {
    super(
      'ASK_LIMIT',
      `The connection has reached the maximum number of open questions (${limit}). ` +
        'Wait for answers first, or raise inbound.maxAsks.',
    );
  }
}

/** A question has no connection that could answer it: none is open, or all that were asked have closed. */
export class NoReceiverError extends IsolationError {
  declare readonly code: 'NO_RECEIVER';

  constructor(readonly event: string) {
    super(
      'NO_RECEIVER',
      `No connection can answer "${event.slice(0, 64)}": none is open, or all that were asked have closed. ` +
        'Ask again when the user is back; with `resume` on, emitter.toThread(…).ask() waits for the client.',
    );
  }
}
