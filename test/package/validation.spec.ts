import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const MAIN = fileURLToPath(new URL('../../validation/main.ts', import.meta.url));
// Options for the validation, and for the servers that it starts.
const RUN_TYPESCRIPT = `--import ${new URL('../support/register-typescript.js', import.meta.url).href}`;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'validation-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly code: number | null;
  readonly output: string;
  readonly report: string;
}

/** Runs the validation like `npm run validate -- …`, but without the build. */
function validate(name: string, ...args: string[]): Promise<Outcome> {
  const out = join(folder, name);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, '--out', out, ...args], {
      env: { ...process.env, NODE_OPTIONS: RUN_TYPESCRIPT },
    });
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    child.stderr.on('data', (text: Buffer) => (output += text.toString()));
    child.on('close', (code) => {
      const file = join(out, 'validation-report.md');
      resolve({ code, output, report: existsSync(file) ? readFileSync(file, 'utf8') : '' });
    });
  });
}

describe('npm run validate', () => {
  it('writes which criteria hold, to a report with charts and to JSON', async () => {
    const { code, output, report } = await validate(
      'green',
      '--only',
      'browser-multi-tab,proactive-cleanup',
    );
    expect(output).toMatch(/✓ Browser with many tabs: (\d+) of \1/);
    expect(output).toMatch(/✓ Proactive cleanup at 12 of 20: (\d+) of \1/);
    expect(code).toBe(0);
    expect(report).toContain('**Everything holds');
    expect(report).toMatch(/\| managers +\| 5 +\| 5 +\| ✓/);
    const [, chart] = /!\[.*\]\((.*\.svg)\)/.exec(report)!;
    expect(readFileSync(join(folder, 'green', chart!), 'utf8')).toContain('<path class="series');
    const json = readFileSync(join(folder, 'green', 'validation-report.json'), 'utf8');
    const { runs } = JSON.parse(json) as { runs: { groups: { checks: { holds: boolean }[] }[] }[] };
    expect(runs[0]!.groups[0]!.checks[0]!.holds).toBe(true);
  });

  it('exits with 1 if a limit is exceeded', async () => {
    const { code, output, report } = await validate(
      'limit',
      '--only',
      'cold-start-burst',
      '--plant',
      'raise-limit',
    );
    expect(code).toBe(1);
    expect(output).toContain('Burst after a cold start: accepted: expected 20, measured 25');
    expect(report).toMatch(/\| accepted +\| 20 +\| 25 +\| \*\*✗\*\*/);
    expect(report).toContain('**Not everything holds');
  });

  it('exits with 1 if the app leaks managers', async () => {
    const { code, output } = await validate(
      'leak',
      '--only',
      'browser-multi-tab',
      '--plant',
      'keep-managers',
    );
    expect(code).toBe(1);
    expect(output).toMatch(
      /leak suspects: expected none, measured browser-multi-tab:tab-\d \(reachable\)/,
    );
  });

  it('exits with 1 for an unknown check', async () => {
    const { code, output } = await validate('unknown', '--only', 'nothing-like-it');
    expect(code).toBe(1);
    expect(output).toContain('There is no check "nothing-like-it". There are: browser-multi-tab,');
  });
});
