import type { ClusterTarget } from './cluster-delivery.js';

/** What is known of a question on one node, or on several nodes together. */
export interface AskState {
  /** Whether a connection there can still answer, as far as that is known. */
  readonly mayAnswer: boolean;
  /** The first error with which a client there has answered. */
  readonly refusal?: { readonly code: string; readonly message: string } | undefined;
  /** Whether a connection there was not asked because it has too many open questions. */
  readonly isLimited?: boolean | undefined;
  /** The answer of a client there. */
  readonly answer?: { readonly data?: unknown } | undefined;
}

/** A question to connections on other nodes. */
export interface ClusterQuestion {
  readonly id: string;
  readonly event: string;
  readonly frame: string;
  /** The connections of a user, or of one thread of it. */
  readonly target: Extract<ClusterTarget, { readonly userId: string }>;
  /** Whether connections that open the thread later are asked too, on any node. */
  readonly isKept: boolean;
  /** Milliseconds until the question is over. */
  readonly timeoutMs: number;
}

/** Called whenever the state has changed. */
export type AskListener = (state: AskState) => void;

/** Ends a question. @param isAnswered whether the connections that are still asked are told that it is answered */
export type EndOfQuestion = (isAnswered: boolean) => void;

/** Asks connections on the other nodes. An answer that got lost on its way is sent again until the question is over. */
export interface ClusterAsks {
  /** Sets what asks connections of this node for other nodes. Called once, before anything is asked. */
  useLocalAsks(local: LocalAsks): void;
  /** Asks the other nodes. `changed` gets the state of all of them together; not before this method has returned. */
  ask(question: ClusterQuestion, changed: AskListener): EndOfQuestion;
}

/** The questions of other nodes to connections of this node. */
export interface LocalAsks {
  /** Asks connections of this node. Returns the state, and what ends the question; `changed` gets later states. */
  host(question: ClusterQuestion, changed: AskListener): HostedQuestion;
}

/** A question of another node, as this node asks it. */
export interface HostedQuestion {
  readonly state: AskState;
  readonly end: EndOfQuestion;
}
