import { AskRejectedError } from './ask.errors.js';

/** An error with which a client has answered. Its texts come from the client: bounded, and not to be trusted. */
export interface ClientRefusal {
  readonly code: string;
  readonly message: string;
}

/** An answer of a client: `data`, or an error. */
export interface ClientAnswer {
  readonly ask?: unknown;
  readonly data?: unknown;
  readonly error?: unknown;
}

/** What becomes of a question on this process. */
export interface QuestionListener {
  /** A connection has answered. The question is over on this process. */
  answered(data: unknown): void;
  /** A connection was asked, has rejected the question, or has closed. */
  changed(): void;
}

/** The content of a question, the same on all nodes. */
export interface QuestionText {
  /** Cannot be guessed: a client answers only questions that it was asked. */
  readonly id: string;
  readonly event: string;
  readonly frame: string;
}

/** The open part of a question on this process: the connections that can still answer it. */
export class Question<Manager> implements QuestionText {
  readonly id: string;
  readonly event: string;
  readonly frame: string;
  /** The connections that were asked, and have neither answered nor closed. */
  readonly askedOf = new Set<Manager>();
  /** The connections whose answer is being checked. Created on first use: only answers with a contract are. */
  claimedBy: Set<Manager> | undefined = undefined;
  /** The first error with which a client has answered. */
  refusal: ClientRefusal | undefined = undefined;
  /** Whether a connection was not asked because of `inbound.maxAsks`. */
  isLimited = false;
  /** Whether it has ended: it is asked of no further connection. */
  isOver = false;

  constructor(
    { id, event, frame }: QuestionText,
    /** Isolation key of the thread whose clients are asked when they come back; otherwise they are not. */
    readonly thread: string | undefined,
    /** Monotonic milliseconds. */
    readonly askedAt: number,
    readonly listener: QuestionListener,
  ) {
    this.id = id;
    this.event = event;
    this.frame = frame;
  }
}

/** Longest text of an error of a client. */
const LONGEST_TEXT = 1_024;

/** Reads an error of a client, whatever it has sent. */
export function readRefusal(error: unknown): ClientRefusal {
  const { code, message } = (typeof error === 'object' ? error : {}) as Partial<
    Record<keyof ClientRefusal, unknown>
  >;
  return { code: textOf(code, 'UNKNOWN'), message: textOf(message, '') };
}

export function rejection(event: string, { code, message }: ClientRefusal): AskRejectedError {
  return new AskRejectedError(event, code, message);
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value.slice(0, LONGEST_TEXT) : otherwise;
}
