import { IsolationError } from '../errors/isolation-error.js';
import { MAX_IDENTIFIER_LENGTH } from '../context/identifier.js';
import type { PathParams } from '../config/isolation.options.js';
import { requestPath } from './upgrade-path.js';

/** The parameters of a path without parameters. */
export const NO_PARAMS: PathParams = Object.freeze(Object.create(null) as object) as PathParams;

/** What stands for a whole segment in the path of a gateway, as in `/room/:room`. */
const PARAMETER = /^:[A-Za-z_]\w*$/;
/** Wildcards, optional parts and groups of other routers. */
const OTHER_SYNTAX = /[*(){}?+]/;

/**
 * Returns what is wrong with the path of an isolated gateway, as the end of a sentence; `undefined` for a path that is
 * literal or has only parameters that are whole segments.
 */
export function pathFault(path: string): string | undefined {
  if (OTHER_SYNTAX.test(path)) return 'has a wildcard, a group or an optional part';
  const segments = path.split('/');
  const partly = segments.find((segment) => /^[^:].*:[A-Za-z_]/.test(segment));
  if (partly !== undefined) {
    return `has a parameter that is only a part of the segment '${partly}'`;
  }
  const parameters = segments.filter((segment) => segment.startsWith(':'));
  const misnamed = parameters.find((segment) => !PARAMETER.test(segment));
  if (misnamed !== undefined) {
    return `has the parameter '${misnamed}', whose name is not one of letters, digits and _`;
  }
  const repeated = parameters.find((name, index) => parameters.indexOf(name) !== index);
  return repeated === undefined ? undefined : `has the parameter '${repeated}' twice`;
}

/** The path of a gateway with parameters. A parameter takes the place of one segment, whatever its text. */
export class PathPattern {
  private constructor(
    /** In canonical form. */
    readonly path: string,
    /** The texts between the slashes. */
    readonly segments: readonly string[],
  ) {}

  /** Returns the pattern that a path in canonical form is; `undefined` for a literal path. */
  static in(path: string | undefined): PathPattern | undefined {
    const segments = segmentsOf(path ?? '');
    return path !== undefined && segments.some(isParameter)
      ? new PathPattern(path, segments)
      : undefined;
  }

  /**
   * Reads the parameters from the target of a request that fits this pattern. Escapes are decoded once, so that a value
   * may contain any character, also a slash.
   *
   * @throws {IsolationError} `INVALID_PATH`: a value has escapes that are not UTF-8, or more than 256 characters
   */
  paramsOf(url: string | undefined): PathParams {
    const values = segmentsOf(requestPath(url) ?? '');
    const params = Object.create(null) as Record<string, string>;
    for (const [index, segment] of this.segments.entries()) {
      if (isParameter(segment)) params[segment.slice(1)] = this.#decode(values[index]!, segment);
    }
    return Object.freeze(params);
  }

  /**
   * Returns a path that fits both patterns, if neither of them is the more literal one, so that no rule could choose;
   * `undefined` otherwise. `/room/:room` and `/:kind/lobby` meet in `/room/lobby`.
   */
  ambiguousWith(other: PathPattern): string | undefined {
    if (other.segments.length !== this.segments.length) return undefined;
    let [isMoreLiteral, isLessLiteral] = [false, false];
    const shared: string[] = [];
    for (const [index, mine] of this.segments.entries()) {
      const theirs = other.segments[index]!;
      if (isParameter(mine)) {
        isLessLiteral ||= !isParameter(theirs);
        shared.push(isParameter(theirs) ? 'x' : theirs);
      } else {
        if (!isParameter(theirs) && theirs !== mine) return undefined;
        isMoreLiteral ||= isParameter(theirs);
        shared.push(mine);
      }
    }
    return isMoreLiteral === isLessLiteral ? `/${shared.join('/')}` : undefined;
  }

  #decode(value: string, parameter: string): string {
    const decoded = decodedOf(value);
    if (decoded !== undefined && decoded.length <= MAX_IDENTIFIER_LENGTH) return decoded;
    const fault =
      decoded === undefined
        ? 'has percent-encoding that is not UTF-8'
        : `is longer than ${MAX_IDENTIFIER_LENGTH} characters`;
    throw new IsolationError(
      'INVALID_PATH',
      `The value of '${parameter}' in the path ${this.path} ${fault}. ` +
        'Encode values with encodeURIComponent(), and keep long ones out of the path.',
    );
  }
}

export function isParameter(segment: string): boolean {
  return segment.startsWith(':');
}

export function segmentsOf(path: string): string[] {
  return path.slice(1).split('/');
}

function decodedOf(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}
