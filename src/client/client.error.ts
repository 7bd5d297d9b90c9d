/**
 * Why the client could not do what it was asked to. A request that the server refuses has the code of the server's
 * `exception`, such as `FORBIDDEN`; the codes of the client itself are listed here.
 */
export type ClientErrorCode =
  /** The client is closed, by `close()` or because the server does not want it back. */
  | 'CLOSED'
  /** The connection could not be opened: the browser refused to try. */
  | 'CONNECT_FAILED'
  /** The connection was lost before the reply. Whether the server has handled the request is not known. */
  | 'CONNECTION_LOST'
  /** A frame of the server that is not JSON, or no object. */
  | 'INVALID_FRAME'
  /** Only of a checked client: data of the app that does not fit the contract. It was not sent. */
  | 'INVALID_PAYLOAD'
  /** A function of the app has thrown, or its promise was rejected. `cause` is what it has thrown. */
  | 'LISTENER_FAILED'
  /** The server asks, and the app answers no such question: see `client.answer()`. */
  | 'NO_ANSWER'
  /** Too much waits for a connection already. */
  | 'QUEUE_FULL'
  /** More items of a stream have arrived than the app has taken. */
  | 'STREAM_OVERFLOW'
  /** No reply within `timeoutMs`. */
  | 'TIMEOUT'
  /** `token()` has thrown, or returned no text that can be sent. */
  | 'TOKEN_FAILED'
  /** Only of a checked client: data of the server that does not fit the contract. */
  | 'UNEXPECTED_DATA'
  /** The server has ended a subscription: its time is over, or it was taken away. `message` says which. */
  | 'UNSUBSCRIBED';

/** An error of the client, or the `exception` with which the server has replied. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  /** The whole data of the server's `exception`. */
  readonly data?: unknown;
  /** The topic whose subscription has ended. */
  readonly topic?: string;

  constructor(
    /** Stable: a {@link ClientErrorCode}, or the code of the server's `exception`. */
    readonly code: ClientErrorCode | (string & {}),
    message: string,
    more: { readonly data?: unknown; readonly topic?: string; readonly cause?: unknown } = {},
  ) {
    super(message);
    Object.assign(this, more);
  }
}

/** Takes errors that no promise carries. */
export type Report = (error: ClientError) => void;

/** The error for an `exception` of the server. An app may send whatever it likes as one. */
export function exceptionError(data: unknown): ClientError {
  const { code, message = data } = (data ?? {}) as { code?: unknown; message?: unknown };
  return new ClientError(
    typeof code === 'string' ? code : 'EXCEPTION',
    typeof message === 'string' ? message : JSON.stringify(message),
    { data },
  );
}

/** The error for a function of the app, or of the browser, that has thrown. */
export function failure(code: ClientErrorCode, what: string, cause: unknown): ClientError {
  return new ClientError(code, `${what}: ${thrownText(cause)}`, { cause });
}

/** The text of whatever a function has thrown. */
export function thrownText(thrown: unknown): string {
  const { message = thrown } = (thrown ?? {}) as { message?: unknown };
  return typeof message === 'string' ? message : typeof message;
}
