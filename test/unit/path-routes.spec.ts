import { describe, expect, it, jest } from '@jest/globals';
import * as fc from 'fast-check';

import { pathFault, PathPattern } from '../../src/upgrade/path-pattern.js';
import { PathRoutes } from '../../src/upgrade/path-routes.js';
import { canonicalPath } from '../../src/upgrade/upgrade-path.js';
import { SEED } from '../support/seed.js';

const isParameter = (segment: string): boolean => segment.startsWith(':');

/** A set of routes whose targets are their own paths. */
function routesOf(paths: Iterable<string>): PathRoutes<string> {
  const routes = new PathRoutes<string>();
  for (const path of paths) {
    routes.add(path, path);
    const pattern = PathPattern.in(path);
    if (pattern) routes.turnIntoPattern(pattern);
  }
  return routes;
}

/** What a reader of the documentation expects: of all routes that fit, the one that is literal further to the left. */
function expected(paths: readonly string[], path: string): string | undefined {
  const segments = path.slice(1).split('/');
  const fitting = paths.filter((route) => {
    const own = route.slice(1).split('/');
    return (
      own.length === segments.length &&
      own.every((part, index) => part === segments[index] || (isParameter(part) && segments[index]))
    );
  });
  return fitting.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
}

function rank(route: string): string {
  const segments = route.slice(1).split('/');
  return segments.map((part) => (isParameter(part) ? '1' : '0')).join('');
}

function fits(route: string, path: string): boolean {
  return expected([route], path) !== undefined;
}

/** Whether a route has a literal segment where another one has a parameter. */
function isLiteralBeyond(route: string, other: string): boolean {
  const others = other.split('/');
  return route
    .split('/')
    .some((part, index) => !isParameter(part) && isParameter(others[index] ?? ''));
}

/** All paths of so many segments whose segments are literal ones of routes, or another one. */
function allPaths(length: number): string[] {
  let paths = [''];
  for (let index = 0; index < length; index += 1) {
    paths = paths.flatMap((path) => ['a', 'b', 'c', 'd'].map((part) => `${path}/${part}`));
  }
  return paths;
}

const literal = fc.constantFrom('a', 'b', 'c');
const routePath = fc
  .array(fc.oneof(literal, fc.constantFrom(':x', ':y')), { minLength: 1, maxLength: 5 })
  .map((segments) => `/${segments.join('/')}`)
  .filter((path) => pathFault(path) === undefined);
const requested = fc
  .array(fc.oneof(literal, fc.constantFrom('d', ':x')), { minLength: 0, maxLength: 6 })
  .map((segments) => `/${segments.join('/')}`);

/** Leaves out routes that could not be in one application. */
function unambiguous(paths: readonly string[]): string[] {
  const kept: string[] = [];
  for (const path of paths) {
    const pattern = PathPattern.in(path);
    const others = kept.flatMap((other) => PathPattern.in(other) ?? []);
    if (!pattern || others.every((other) => pattern.ambiguousWith(other) === undefined)) {
      kept.push(path);
    }
  }
  return [...new Set(kept)];
}

describe('the routes of paths', () => {
  it(`find what a simple model finds, in whatever order they were added (SEED=${SEED})`, () => {
    fc.assert(
      fc.property(
        fc.array(routePath, { maxLength: 12 }).map(unambiguous),
        fc.array(requested, { minLength: 1, maxLength: 20 }),
        (paths, requests) => {
          const [forwards, backwards] = [routesOf(paths), routesOf(paths.toReversed())];
          for (const path of requests) {
            expect(forwards.find(path)).toBe(expected(paths, path));
            expect(backwards.find(path)).toBe(forwards.find(path));
          }
        },
      ),
      { seed: SEED, numRuns: 2_000 },
    );
  });

  it(`are ambiguous if both fit one path and each is literal where the other is not (SEED=${SEED})`, () => {
    fc.assert(
      fc.property(routePath, routePath, (left, right) => {
        const [first, second] = [PathPattern.in(left), PathPattern.in(right)];
        fc.pre(first !== undefined && second !== undefined);
        const meeting = first.ambiguousWith(second);
        expect(second.ambiguousWith(first)).toBe(meeting);
        const areRivals = isLiteralBeyond(left, right) === isLiteralBeyond(right, left);
        const fitBoth = allPaths(first.segments.length).filter(
          (path) => fits(left, path) && fits(right, path),
        );
        expect(meeting !== undefined).toBe(areRivals && fitBoth.length > 0);
        expect(meeting === undefined || (fits(left, meeting) && fits(right, meeting))).toBe(true);
      }),
      { seed: SEED, numRuns: 1_000 },
    );
  });

  it('are looked up in at most one step for each branch and segment, whatever a client sends', () => {
    // The routes with most dead ends: all combinations of a literal and a parameter, and each ends in its own segment.
    const depth = 8;
    const routes = Array.from({ length: 2 ** depth }, (_, bits) => {
      const parts = Array.from({ length: depth }, (_none, at) =>
        (bits >> at) & 1 ? 'a' : `:p${at}`,
      );
      return `/${parts.join('/')}/end${bits}`;
    });
    const branches = 2 ** (depth + 2);
    const found = routesOf(routes);
    const steps = (path: string): number => {
      const lookUps = jest.spyOn(Map.prototype, 'get');
      const pieces = jest.spyOn(String.prototype, 'split');
      try {
        expect(found.find(path)).toBeUndefined();
        const cut = pieces.mock.results.reduce((sum, { value }) => sum + (value as []).length, 0);
        return lookUps.mock.calls.length + cut;
      } finally {
        lookUps.mockRestore();
        pieces.mockRestore();
      }
    };
    expect(steps(`${'/a'.repeat(depth)}/none`)).toBeLessThanOrEqual(branches + depth + 2);
    // Longer than every route: seen at the first segment too many, not after all of them.
    for (const length of [depth + 2, 1_000, 100_000]) {
      expect(steps('/a'.repeat(length))).toBeLessThanOrEqual(depth + 3);
    }
    const deep = steps(`/${'a'.repeat(100_000)}`);
    expect(deep).toBeLessThanOrEqual(4);
  });

  it('cost an application without patterns one look-up', () => {
    const routes = routesOf(['/chat', '/feed']);
    const lookUps = jest.spyOn(Map.prototype, 'get');
    const found = routes.find('/a/b/c/d');
    const { length } = lookUps.mock.calls;
    lookUps.mockRestore();
    expect([found, length]).toEqual([undefined, 1]);
  });
});

describe('the parameters of a path', () => {
  it(`are what a client has encoded (SEED=${SEED})`, () => {
    // An URL has no segments `.` and `..`, however they are written.
    const value = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      .filter((text) => text !== '.' && text !== '..');
    const pattern = PathPattern.in(canonicalPath('/room/:room/seat/:seat/'))!;
    fc.assert(
      fc.property(value, value, (room, seat) => {
        const url = `/room/${encodeURIComponent(room)}/seat/${encodeURIComponent(seat)}?a=/b`;
        expect({ ...pattern.paramsOf(url) }).toEqual({ room, seat });
      }),
      { seed: SEED, numRuns: 2_000 },
    );
  });

  it.each([
    ['/room/%zz', 'percent-encoding'],
    ['/room/%', 'percent-encoding'],
    ['/room/%C3%28', 'percent-encoding'],
    ['/room/%ED%A0%80', 'percent-encoding'],
    ['/room/%c0%af', 'percent-encoding'],
    [`/room/${'a'.repeat(257)}`, 'longer than 256'],
    [`/room/${'%C3%A4'.repeat(257)}`, 'longer than 256'],
  ])('are refused in %s', (url, text) => {
    const read = (): unknown => PathPattern.in('/room/:room')!.paramsOf(url);
    expect(read).toThrow(expect.objectContaining({ code: 'INVALID_PATH' }));
    expect(read).toThrow(text);
  });

  it('are decoded once, and have no prototype', () => {
    const params = PathPattern.in('/:__proto__/:room')!.paramsOf('/x/%2541%2F%00');
    expect(Object.entries(params)).toEqual([
      ['__proto__', 'x'],
      ['room', '%41/\0'],
    ]);
    expect(Object.getPrototypeOf(params)).toBeNull();
    expect(Object.isFrozen(params)).toBe(true);
  });
});
