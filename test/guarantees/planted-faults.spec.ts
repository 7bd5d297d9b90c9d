import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

const project = fileURLToPath(new URL('../..', import.meta.url));

interface Fault {
  readonly name: string;
  /** The changes: file, old text, new text. */
  readonly change: readonly (readonly [file: string, from: string, to: string])[];
  /** The spec that must fail. */
  readonly spec: string;
  /** A test in that spec that must fail. */
  readonly test: string;
}

const BOOKKEEPING = 'src/manager/manager-bookkeeping.ts';
const REGISTRY = 'src/manager/manager-registry.ts';

// The faults of the original implementation, one at a time.
const faults: Fault[] = [
  {
    name: 'a manager kept in a map',
    change: [
      [
        BOOKKEEPING,
        '/** Keeps the registry',
        'const kept = new Set<object>();\n/** Keeps the registry',
      ],
      [
        BOOKKEEPING,
        '    this.registry.remove(manager);',
        '    this.registry.remove(manager);\n    kept.add(manager);',
      ],
    ],
    spec: 'test/guarantees/leaks',
    test: 'suspects no manager after a clean run',
  },
  {
    name: 'a timer not cleared',
    change: [
      ['src/time/deadline.ts', '      (value) => {\n        release();', '      (value) => {'],
    ],
    spec: 'test/guarantees/races',
    test: 'no limit is exceeded',
  },
  {
    name: 'a listener not removed',
    change: [['src/manager/socket-binding.ts', "  socket.off('close', onClose);\n", '']],
    spec: 'test/guarantees/races',
    test: 'no limit is exceeded',
  },
  {
    name: 'a slot not released',
    change: [
      [
        BOOKKEEPING,
        '    this.releaseSlot(manager);\n    this.registry.remove',
        '    this.registry.remove',
      ],
    ],
    spec: 'test/guarantees/factory',
    test: 'has correct statistics',
  },
  {
    name: 'a late manager after an early close',
    change: [
      [
        'src/handshake/handshake-attempt.ts',
        'if (this.#isOver) {\n      step.tooLate',
        'if (false) {\n      step.tooLate',
      ],
    ],
    spec: 'test/guarantees/await-points',
    test: 'wait for a slot and the client closes, before',
  },
  {
    name: 'a promise never settled',
    change: [['src/manager/manager-end.ts', '        resolve();\n', '']],
    spec: 'test/guarantees/factory',
    test: 'resolves cleanupManager with true once',
  },
  {
    name: 'a counter kept beside the registry',
    change: [
      [
        'src/manager/slots.ts',
        'return this.idle.size + (this.#pinned?.size ?? 0);',
        'return this.count;',
      ],
      [
        'src/manager/slots.ts',
        '  constructor(readonly userId',
        '  count = 0;\n\n  constructor(readonly userId',
      ],
      [REGISTRY, '    manager.slots = slots;', '    manager.slots = slots;\n    slots.count += 1;'],
      // The usual fault: the counter is decremented on some paths only.
      [
        REGISTRY,
        '  remove(manager: WebSocketManager): void {',
        '  remove(manager: WebSocketManager): void {\n    if (manager.slots) manager.slots.count -= 1;',
      ],
    ],
    spec: 'test/guarantees/factory',
    test: 'has correct statistics',
  },
];

let copy: string;

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), 'planted-'));
  for (const part of ['src', 'test', 'package.json', 'jest.config.js']) {
    cpSync(join(project, part), join(copy, part), { recursive: true });
  }
  symlinkSync(join(project, 'node_modules'), join(copy, 'node_modules'));
});
afterEach(() => rmSync(copy, { recursive: true, force: true }));

function plant([file, from, to]: readonly [string, string, string]): void {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} no longer contains: ${from}`);
  writeFileSync(path, text.replace(from, to));
}

/** Returns which of the named tests fail in the copy, or `hangs` if the process had to be killed. */
function failing(specs: readonly string[], tests: readonly string[]): readonly string[] {
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--expose-gc',
      '--no-warnings',
      join(copy, 'node_modules/jest/bin/jest.js'),
      '--testTimeout=20000',
      '--bail',
      '--runInBand',
      '--testNamePattern',
      tests.join('|'),
      ...specs,
    ],
    {
      cwd: copy,
      encoding: 'utf8',
      // A fault may keep the process alive forever. Then the timeout kills it.
      timeout: 800_000,
      env: { ...process.env, RACE_RUNS: '100', JEST_WORKER_ID: undefined, NODE_OPTIONS: '' },
    },
  );
  if (status === 0) return [];
  if (status === null) return ['hangs'];
  // Jest prints arrows between the titles of groups and tests.
  const output = stderr.replaceAll(' › ', ' ');
  const failed = tests.filter((test) => new RegExp(`● .*${test}`).test(output));
  if (failed.length === 0) throw new Error(`Nothing was tested:\n${stderr}`);
  return failed;
}

describe('a planted fault makes a test fail', () => {
  it.each(faults)('$name', ({ change, spec, test }) => {
    for (const planted of change) plant(planted);
    expect(failing([spec], [test])).toEqual([test]);
  });

  it('without a fault the tests pass', () => {
    const specs = [...new Set(faults.map(({ spec }) => spec))];
    expect(
      failing(
        specs,
        faults.map(({ test }) => test),
      ),
    ).toEqual([]);
  });
});
