import { isNodeId } from './messages.js';
import { UnreadableReplyError } from './redis-failure.js';

/** Nodes that a message was published to. */
export interface Published {
  /** Those that listened, as far as can be known. */
  readonly heard: readonly string[];
  /** Those that did not. */
  readonly unheard: readonly string[];
}

/** What a script answers that has published: nodes, and how many listened to each. */
export function readPublished(reply: unknown, isCountTrue: boolean): Published {
  if (!Array.isArray(reply)) throw new UnreadableReplyError('who listened');
  const heard: string[] = [];
  const unheard: string[] = [];
  for (let index = 0; index < reply.length; index += 2) {
    const node: unknown = reply[index];
    // What was written by something else is the name of no node.
    if (!isNodeId(node)) continue;
    const listened = !isCountTrue || Number(reply[index + 1]) > 0;
    (listened ? heard : unheard).push(node);
  }
  return { heard, unheard };
}
