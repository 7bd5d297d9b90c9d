import { systemClock } from '../time/clock.js';
import { nameOf, readFrame, type ReceivedMessage } from './received-message.js';

/** Checks a waiting condition again. Called after each message and at the end of the connection. */
type Watcher = () => void;

/** What a test waits for, and for how long. */
interface Wait {
  readonly timeoutMs: number;
  /** Names it in the error. */
  readonly what: string;
  /** Whether it cannot come any more after the end of the connection. */
  readonly endsWithConnection: boolean;
}

/** How many messages an error names. */
const MESSAGES_NAMED = 20;

/** What a test client has received, and who waits for more. */
export class Inbox {
  readonly messages: ReceivedMessage[] = [];
  /** How the connection ended. `undefined` while it is open. */
  end: { readonly code: number; readonly reason: string } | undefined;
  // Indexes in `messages`. All messages before `#firstUntaken` are taken, and after it those in `#takenEarly`.
  #firstUntaken = 0;
  readonly #takenEarly = new Set<number>();
  readonly #watchers = new Set<Watcher>();

  add(frame: Buffer, isBinary: boolean): void {
    this.messages.push(readFrame(frame, isBinary));
    this.#changed();
  }

  close(code: number, reason: string): void {
    this.end = { code, reason };
    this.#changed();
  }

  /** Takes the first message that is wanted and not taken yet. */
  take(
    // A message may be any JSON value, `null` too.
    isWanted: (message: ReceivedMessage | null) => boolean,
  ): ReceivedMessage | undefined {
    for (let place = this.#firstUntaken; place < this.messages.length; place += 1) {
      const message = this.messages[place]!;
      if (!isWanted(message) || this.#takenEarly.has(place)) continue;
      this.#takenEarly.add(place);
      while (this.#takenEarly.delete(this.#firstUntaken)) this.#firstUntaken += 1;
      return message;
    }
    return undefined;
  }

  /** Looks after each message and at the end of the connection, and resolves to what is found. */
  when<T>(look: () => T | undefined, wait: Wait): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = (when: string): void => {
        stop();
        reject(new Error(`No ${wait.what} came ${when}. ${this.#situation()}`));
      };
      const cancel = systemClock.after(wait.timeoutMs, () => giveUp(`within ${wait.timeoutMs} ms`));
      const stop = (): void => {
        cancel();
        this.#watchers.delete(watch);
      };
      const watch = (): void => {
        const found = look();
        if (found !== undefined) {
          stop();
          resolve(found);
        } else if (wait.endsWithConnection && this.end) {
          giveUp('before the connection ended');
        }
      };
      this.#watchers.add(watch);
      watch();
    });
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #situation(): string {
    const state = this.end
      ? `The connection ended with ${this.end.code} "${this.end.reason}"`
      : 'The connection is open';
    const waiting = this.messages
      .filter((_, place) => place >= this.#firstUntaken && !this.#takenEarly.has(place))
      .map(nameOf);
    const more = waiting.length > MESSAGES_NAMED ? `, … (${waiting.length})` : '';
    const named = waiting.slice(0, MESSAGES_NAMED).join(', ');
    return `${state}; not taken yet: ${named || 'nothing'}${more}.`;
  }
}
