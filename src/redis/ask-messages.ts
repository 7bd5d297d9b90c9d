import type { AskState, ClusterQuestion } from '../cluster/cluster-asks.js';
import { type Check, count, either, isFlag, optional, record, text } from './checks.js';
import { isFrameText, isId, isNodeId } from './message-shapes.js';
import type { Topic } from './messages.js';

/** Characters of the name of an event: it is part of a frame. */
const LONGEST_EVENT = 1_048_576;
/** Longer than any text of a client's error that is kept. */
const LONGEST_TEXT = 1_024;

/** The state of a question on one node. A later state has a higher version. */
export interface VersionedState {
  readonly version: number;
  readonly state: AskState;
}

const isAskId = text(64);

const isState: Check<AskState> = record<AskState>({
  mayAnswer: isFlag,
  refusal: optional(
    record<{ code: string; message: string }>({
      code: text(LONGEST_TEXT, 0),
      message: text(LONGEST_TEXT, 0),
    }),
  ),
  isLimited: optional(isFlag),
  answer: optional(
    record<{ readonly data?: unknown }>({ data: (_value): _value is unknown => true }),
  ),
});

const VERSIONED = { version: count(), state: isState };

/** A question to connections of the node. The answer is its state there. The same question may come again. */
export const ASK: Topic<ClusterQuestion & { asker: string }, VersionedState> = {
  name: 'ask',
  isBody: record<ClusterQuestion & { asker: string }>({
    id: isAskId,
    event: text(LONGEST_EVENT, 0),
    frame: isFrameText,
    target: record<ClusterQuestion['target']>({ userId: isId, threadId: optional(isId) }),
    isKept: isFlag,
    timeoutMs: (value): value is number => typeof value === 'number' && value > 0,
    asker: isNodeId,
  }),
  isAnswer: record<VersionedState>(VERSIONED),
};

/** Tells the node that asks what has become of its question. The answer is `over` for a question that has ended. */
export const ASK_STATE: Topic<{ id: string; nodeId: string } & VersionedState, 'noted' | 'over'> = {
  name: 'ask-state',
  isBody: record<{ id: string; nodeId: string } & VersionedState>({
    id: isAskId,
    nodeId: isNodeId,
    ...VERSIONED,
  }),
  isAnswer: either(
    (value): value is 'noted' => value === 'noted',
    (value): value is 'over' => value === 'over',
  ),
};

/** A question has ended. */
export const ASK_END: Topic<{ id: string; isAnswered: boolean }, 'ended'> = {
  name: 'ask-end',
  isBody: record<{ id: string; isAnswered: boolean }>({ id: isAskId, isAnswered: isFlag }),
  isAnswer: (value): value is 'ended' => value === 'ended',
};
