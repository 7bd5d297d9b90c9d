/** `{…}` in the name of a contract's topic. */
const PLACEHOLDER = /\{[^}]*\}/;

/**
 * Whether a topic has the form of a pattern: `room:7` that of `room:{id}`. A placeholder stands for any text, also for
 * none. Each part of the pattern is looked for once, so that no name takes more than linear time.
 */
export function matchesTopic(pattern: string, topic: string): boolean {
  const [first = '', ...others] = pattern.split(PLACEHOLDER);
  const last = others.pop();
  if (last === undefined) return topic === first;
  if (!topic.startsWith(first) || !topic.endsWith(last)) return false;
  let from = first.length;
  for (const part of others) {
    const found = topic.indexOf(part, from);
    if (found < 0) return false;
    from = found + part.length;
  }
  return from <= topic.length - last.length;
}

/** How much of a pattern is text: of two patterns that match, the one with more text says more. */
export function textLength(pattern: string): number {
  return pattern.split(PLACEHOLDER).join('').length;
}
