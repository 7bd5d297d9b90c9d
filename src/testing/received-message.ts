/** A message as a stock client receives it. */
// Tests know what they expect: they compare it, or read a field of it.
// oxlint-disable-next-line typescript/no-explicit-any
export interface ReceivedMessage<Data = any> {
  /** Empty for a frame that is no JSON. */
  readonly event: string;
  readonly data: Data;
  /** Of the message that this answers, where that had one. */
  readonly id?: string | number;
  /** Set for a question: see {@link TestClient.answer}. */
  readonly ask?: string;
  /** Set for a message to the members of a topic. */
  readonly topic?: string;
  /** Set where the history of the thread, or of the topic, is kept. */
  readonly position?: string;
  /** Set for a binary frame, whose `data` is a `Buffer`, and for a text that is no JSON, whose `data` is that text. */
  readonly raw?: 'binary' | 'text';
}

// An app may use another format than the stock client: such a frame is kept as it was received.
export function readFrame(frame: Buffer, isBinary: boolean): ReceivedMessage {
  if (isBinary) return { event: '', data: frame, raw: 'binary' };
  const text = frame.toString();
  try {
    return JSON.parse(text) as ReceivedMessage;
  } catch {
    return { event: '', data: text, raw: 'text' };
  }
}

export function nameOf(message: ReceivedMessage | null): string {
  return message?.raw ? `(${message.raw})` : (message?.event ?? JSON.stringify(message));
}
