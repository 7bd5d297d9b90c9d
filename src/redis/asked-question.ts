import type { AskListener, AskState, ClusterQuestion } from '../cluster/cluster-asks.js';
import type { VersionedState } from './ask-messages.js';

/** Looks in a row at the list of nodes, without the node in it, after which the node counts as dead. */
export const LOOKS_TO_DIE = 3;

interface AskedNode extends VersionedState {
  /** Looks in a row at which the node was not among the living. */
  missed: number;
}

/** A question that this node asks: what the other nodes have told about it. */
export class AskedQuestion {
  /** Whether it is not known yet which nodes have got the question. */
  isSpreading = true;
  /** Whether nodes are asked once more at this moment. */
  isAskingAgain = false;
  /** Set when the question is over. */
  ending: { readonly isAnswered: boolean } | undefined = undefined;
  readonly #nodes = new Map<string, AskedNode>();
  /** Nodes that should have got the question and have not replied, with the looks at which they were missing. */
  readonly #silent = new Map<string, number>();

  constructor(
    readonly question: ClusterQuestion,
    /** Monotonic milliseconds. */
    readonly expiresAt: number,
    private readonly changed: AskListener,
  ) {}

  /** Nodes to be told when the question ends. */
  get toBeTold(): string[] {
    const open = [...this.#nodes].filter(
      ([, { state }]) => this.question.isKept || state.mayAnswer,
    );
    return [...open.map(([nodeId]) => nodeId), ...this.#silent.keys()];
  }

  /** A node has told its state, perhaps in an older message than the last. */
  heard(nodeId: string, { version, state }: VersionedState): void {
    const known = this.#nodes.get(nodeId);
    this.#silent.delete(nodeId);
    if (known && known.version >= version) return;
    // A node whose client has answered has ended the question itself.
    if (state.answer) this.#nodes.delete(nodeId);
    else this.#nodes.set(nodeId, { version, state, missed: 0 });
    if (!this.ending) this.changed(state.answer ? state : this.#state());
  }

  /** Nodes were asked and did not reply. */
  missed(nodeIds: readonly string[]): void {
    for (const nodeId of nodeIds) {
      if (!this.#nodes.has(nodeId) && !this.#silent.has(nodeId)) this.#silent.set(nodeId, 0);
    }
  }

  /** The nodes that have got the question are known. */
  spread(): void {
    this.isSpreading = false;
    if (!this.ending) this.changed(this.#state());
  }

  /** Drops dead nodes. Returns the nodes that have to be asked, perhaps once more. */
  look(living: ReadonlySet<string>): string[] {
    for (const [nodeId, node] of this.#nodes) {
      node.missed = living.has(nodeId) ? 0 : node.missed + 1;
      if (node.missed >= LOOKS_TO_DIE) this.#nodes.delete(nodeId);
    }
    for (const [nodeId, missed] of this.#silent) {
      const now = living.has(nodeId) ? 0 : missed + 1;
      if (now >= LOOKS_TO_DIE) this.#silent.delete(nodeId);
      else this.#silent.set(nodeId, now);
    }
    if (!this.isSpreading) this.changed(this.#state());
    const unknown = this.question.isKept
      ? [...living].filter((nodeId) => !this.#nodes.has(nodeId) && !this.#silent.has(nodeId))
      : [];
    return [...this.#silent.keys(), ...unknown];
  }

  /** The process leaves the cluster. */
  leave(): void {
    this.#nodes.clear();
    this.#silent.clear();
    this.spread();
  }

  #state(): AskState {
    let mayAnswer = this.isSpreading || this.#silent.size > 0;
    let refusal: AskState['refusal'];
    let isLimited = false;
    for (const { state } of this.#nodes.values()) {
      mayAnswer ||= state.mayAnswer;
      refusal ??= state.refusal;
      isLimited ||= state.isLimited === true;
    }
    return { mayAnswer, refusal, isLimited };
  }
}
