import type {
  AskState,
  ClusterQuestion,
  EndOfQuestion,
  LocalAsks,
} from '../cluster/cluster-asks.js';
import type { Clock } from '../time/clock.js';
import type { VersionedState } from './ask-messages.js';
import { LOOKS_TO_DIE } from './asked-question.js';

/** Bytes of the questions of other nodes that a node keeps. A question beyond that is not asked here. */
const MAX_BYTES = 16 * 1_048_576;
/** Counted for each question in addition to its frame. */
const OVERHEAD_BYTES = 256;

/** A question of another node. */
interface Hosted {
  readonly question: ClusterQuestion;
  readonly asker: string;
  /** Monotonic milliseconds. */
  readonly expiresAt: number;
  end: EndOfQuestion;
  state: AskState;
  version: number;
  /** The version that the asker has confirmed. */
  told: number;
  isTelling: boolean;
  /** Looks in a row at which the asker was not among the living. */
  missed: number;
}

/** Tells the asker of a question its state on this node. Resolves to the reply; `undefined` without one. */
export type TellAsker = (
  asker: string,
  id: string,
  state: VersionedState,
) => Promise<'noted' | 'over' | undefined>;

/** The questions of other nodes to connections of this node. A state that the asker has not confirmed is sent again. */
export class HostedQuestions {
  readonly #hosted = new Map<string, Hosted>();
  #bytes = 0;

  constructor(
    private readonly clock: Clock,
    private readonly tell: TellAsker,
    /** A question was not asked, because this node keeps too many. */
    private readonly refused: (error: Error) => void,
  ) {}

  get size(): number {
    return this.#hosted.size;
  }

  /** Asks connections of this node, once for each question. Returns the state. */
  host(local: LocalAsks, question: ClusterQuestion, asker: string): VersionedState {
    const known = this.#hosted.get(question.id);
    if (known) return { version: known.version, state: known.state };
    const bytes = bytesOf(question);
    if (this.#bytes + bytes > MAX_BYTES) {
      this.refused(new Error(`more than ${MAX_BYTES} bytes of questions of other nodes are open`));
      return { version: 0, state: { mayAnswer: false, isLimited: true } };
    }
    const expiresAt = this.clock.now() + question.timeoutMs;
    const state: AskState = { mayAnswer: false };
    const status = { version: 0, told: 0, isTelling: false, missed: 0 };
    const hosted: Hosted = { question, asker, expiresAt, state, end: () => undefined, ...status };
    this.#hosted.set(question.id, hosted);
    this.#bytes += bytes;
    const part = local.host(question, (changed) => this.#changed(hosted, changed));
    hosted.end = part.end;
    // An answer may have come while the other connections were being asked.
    if (hosted.version === 0) hosted.state = part.state;
    const reply = { version: hosted.version, state: hosted.state };
    if (isDone(hosted)) this.end(question.id, false);
    return reply;
  }

  /** The question has ended. @param isAnswered whether connections that are still asked are told */
  end(id: string, isAnswered: boolean): void {
    const hosted = this.#hosted.get(id);
    if (!hosted) return;
    this.#hosted.delete(id);
    this.#bytes -= bytesOf(hosted.question);
    hosted.end(isAnswered);
  }

  /** Drops questions that have expired or whose asker is dead; repeats states that were not confirmed. */
  look(living: ReadonlySet<string>): void {
    const now = this.clock.now();
    for (const [id, hosted] of this.#hosted) {
      hosted.missed = living.has(hosted.asker) ? 0 : hosted.missed + 1;
      if (now >= hosted.expiresAt || hosted.missed >= LOOKS_TO_DIE) this.end(id, false);
      else void this.#tell(hosted);
    }
  }

  clear(): void {
    for (const id of this.#hosted.keys()) this.end(id, false);
  }

  #changed(hosted: Hosted, state: AskState): void {
    const before = hosted.state;
    // Most changes concern one of several connections, and matter to no other node.
    hosted.state = state;
    if (!state.answer && state.mayAnswer === before.mayAnswer) return;
    hosted.version += 1;
    void this.#tell(hosted);
  }

  // Sends the latest state until the asker has confirmed it. Where the asker does not reply, `look` tries again.
  async #tell(hosted: Hosted): Promise<void> {
    if (hosted.isTelling) return;
    hosted.isTelling = true;
    const { question, asker } = hosted;
    while (this.#isOpen(hosted) && hosted.told < hosted.version) {
      const { version, state } = hosted;
      const reply = await this.tell(asker, question.id, { version, state });
      if (reply === undefined) break;
      hosted.told = version;
      if (reply === 'over') this.end(question.id, false);
    }
    hosted.isTelling = false;
    if (this.#isOpen(hosted) && isDone(hosted)) this.end(question.id, false);
  }

  #isOpen(hosted: Hosted): boolean {
    return this.#hosted.get(hosted.question.id) === hosted;
  }
}

// Whether nothing can follow: the asker knows the answer, or that no connection here can answer.
function isDone({ state, told, version, question }: Hosted): boolean {
  if (told < version || state.mayAnswer) return false;
  return state.answer !== undefined || !question.isKept;
}

function bytesOf({ frame }: ClusterQuestion): number {
  return frame.length + OVERHEAD_BYTES;
}
