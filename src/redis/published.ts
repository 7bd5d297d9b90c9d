import { isNodeId } from './message-shapes.js';
import { UnreadableReplyError } from './redis-failure.js';

/** The nodes that a message was published to. */
export interface Published {
  /** Nodes that received it, as far as that can be known. */
  readonly heard: readonly string[];
  /** Nodes that did not receive it. */
  readonly unheard: readonly string[];
}

/**
 * Reads the reply of a script that publishes: nodes, each with its number of receivers.
 *
 * @param isCountTrue whether that number includes all receivers; otherwise every node counts as reached
 */
export function readPublished(reply: unknown, isCountTrue: boolean): Published {
  if (!Array.isArray(reply)) throw new UnreadableReplyError('the receivers of a message');
  const heard: string[] = [];
  const unheard: string[] = [];
  for (let index = 0; index < reply.length; index += 2) {
    const node: unknown = reply[index];
    // A text that another program has written may not be the id of a node.
    if (!isNodeId(node)) continue;
    const listened = !isCountTrue || Number(reply[index + 1]) > 0;
    (listened ? heard : unheard).push(node);
  }
  return { heard, unheard };
}
