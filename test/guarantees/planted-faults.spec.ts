import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

const project = fileURLToPath(new URL('../..', import.meta.url));

interface Fault {
  readonly name: string;
  /** What is changed: file, text, other text. */
  readonly change: readonly (readonly [file: string, from: string, to: string])[];
  /** The spec that has to turn red. */
  readonly spec: string;
}

const FACTORY = 'src/manager/web-socket-manager.factory.ts';
const REGISTRY = 'src/manager/manager-registry.ts';

// The mistakes that the original made, one at a time.
const faults: Fault[] = [
  {
    name: 'a manager kept in a map',
    change: [
      [FACTORY, 'const RETRY_AFTER_MS', 'const kept = new Set<object>();\nconst RETRY_AFTER_MS'],
      [
        FACTORY,
        '        registry.remove(manager);',
        '        registry.remove(manager);\n        kept.add(manager);',
      ],
    ],
    spec: 'test/e2e/churn',
  },
  {
    name: 'a timer not cleared',
    change: [
      ['src/clock/deadline.ts', '      (value) => {\n        release();', '      (value) => {'],
    ],
    spec: 'test/guarantees/races',
  },
  {
    name: 'a listener not removed',
    change: [['src/manager/socket-binding.ts', "  socket.off('pong', onPong);\n", '']],
    spec: 'test/guarantees/races',
  },
  {
    name: 'a slot not released',
    change: [
      [
        FACTORY,
        '        this.releaseSlot(manager);\n        registry.remove',
        '        registry.remove',
      ],
    ],
    spec: 'test/guarantees/factory',
  },
  {
    name: 'a late manager after an early close',
    change: [
      [
        'src/handshake/handshake-attempt.ts',
        'if (this.#isOver) {\n        tooLate',
        'if (false) {\n        tooLate',
      ],
    ],
    spec: 'test/security/handshake',
  },
  {
    name: 'a promise never settled',
    change: [['src/manager/web-socket-manager.ts', '    resolve();\n', '']],
    spec: 'test/guarantees/factory',
  },
  {
    name: 'a counter kept beside the registry',
    change: [
      [
        'src/manager/user-slots.ts',
        'return this.idle.size + this.pinned.size;',
        'return this.count;',
      ],
      [
        'src/manager/user-slots.ts',
        '  constructor(readonly userId',
        '  count = 0;\n\n  constructor(readonly userId',
      ],
      [REGISTRY, '    manager.slots = slots;', '    manager.slots = slots;\n    slots.count += 1;'],
      // The usual way: counted down where the end is expected, and not where it comes otherwise.
      [
        REGISTRY,
        '  remove(manager: WebSocketManager): void {',
        '  remove(manager: WebSocketManager): void {\n    if (manager.slots) manager.slots.count -= 1;',
      ],
    ],
    spec: 'test/guarantees/factory',
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
  if (!text.includes(from)) throw new Error(`${file} has no longer: ${from}`);
  writeFileSync(path, text.replace(from, to));
}

function isRed(spec: string): boolean {
  const jest = join(copy, 'node_modules/jest/bin/jest.js');
  const { status } = spawnSync(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--expose-gc',
      '--no-warnings',
      jest,
      '--testTimeout=3000',
      '--bail',
      spec,
    ],
    {
      cwd: copy,
      // A fault may keep the process alive for ever: then that is how it shows.
      timeout: 30_000,
      env: {
        ...process.env,
        CHURN: '60',
        RACE_RUNS: '100',
        JEST_WORKER_ID: undefined,
        NODE_OPTIONS: '',
      },
    },
  );
  return status !== 0;
}

describe('a planted fault turns a test red', () => {
  it.each(faults)(
    '$name',
    ({ change, spec }) => {
      for (const planted of change) plant(planted);
      expect(isRed(spec)).toBe(true);
    },
    60_000,
  );

  it.each([...new Set(faults.map(({ spec }) => spec))])(
    'and without one it is green: %s',
    (spec) => {
      expect(isRed(spec)).toBe(false);
    },
    60_000,
  );
});
