import { isParameter, type PathPattern } from './path-pattern.js';

/** What follows one segment in the tree of patterns. */
class Branch<Target> {
  readonly literals = new Map<string, Branch<Target>>();
  parameter: Branch<Target> | undefined = undefined;
  /** Where a path ends that ends here. */
  target: Target | undefined = undefined;
}

/**
 * Finds the target of a path among literal paths and patterns. Literal segments come before parameters, and a whole
 * literal path before all patterns.
 *
 * A look-up takes time in proportion to the length of the path: one pass that cuts it into segments, and then at most
 * one visit to each branch of the tree of patterns, whatever the client sends. No text of a client is ever matched by a
 * regular expression here.
 */
export class PathRoutes<Target> {
  readonly #literal = new Map<string, Target>();
  #root = new Branch<Target>();
  /** The number of segments of the longest pattern; 0 without patterns. */
  #depth = 0;

  /** Adds a path whose text counts as it is, also with colons. */
  add(path: string, target: Target): void {
    this.#literal.set(path, target);
  }

  /** Reads a path that was added as a pattern from now on. */
  turnIntoPattern({ path, segments }: PathPattern): void {
    const target = this.#literal.get(path);
    this.#literal.delete(path);
    if (target === undefined) return;
    this.#depth = Math.max(this.#depth, segments.length);
    let branch = this.#root;
    for (const segment of segments) {
      branch = isParameter(segment)
        ? (branch.parameter ??= new Branch())
        : inMap(branch.literals, segment);
    }
    branch.target = target;
  }

  /** @param path in canonical form */
  find(path: string): Target | undefined {
    const literal = this.#literal.get(path);
    if (literal !== undefined || this.#depth === 0 || path === '/') return literal;
    // One more than the longest pattern has: enough to see that a path is longer than all of them.
    const segments = path.slice(1).split('/', this.#depth + 1);
    return segments.length > this.#depth ? undefined : findIn(this.#root, segments, 0);
  }

  clear(): void {
    this.#literal.clear();
    this.#root = new Branch();
    this.#depth = 0;
  }
}

// A branch belongs to one segment of the path, and has one parent: it is visited at most once.
function findIn<Target>(
  branch: Branch<Target>,
  segments: readonly string[],
  index: number,
): Target | undefined {
  if (index === segments.length) return branch.target;
  const literal = branch.literals.get(segments[index]!);
  const found = literal && findIn(literal, segments, index + 1);
  if (found !== undefined || !branch.parameter) return found;
  return findIn(branch.parameter, segments, index + 1);
}

function inMap<Target>(branches: Map<string, Branch<Target>>, key: string): Branch<Target> {
  let branch = branches.get(key);
  if (!branch) branches.set(key, (branch = new Branch()));
  return branch;
}
