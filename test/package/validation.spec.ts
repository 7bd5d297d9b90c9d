import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { compiledProject } from '../support/compiled.js';

let project: ReturnType<typeof compiledProject>;

beforeAll(() => {
  project = compiledProject({
    src: 'dist',
    validation: 'dist-validation/validation',
    'bench/processes': 'dist-validation/bench/processes',
    'bench/report': 'dist-validation/bench/report',
  });
});
afterAll(() => project.remove());

interface Outcome {
  readonly code: number | null;
  readonly output: string;
  readonly report: string;
}

/** Runs the validation as `npm run validate -- …` does. */
function validate(name: string, ...args: string[]): Promise<Outcome> {
  const out = join(project.path, name);
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ['dist-validation/validation/main.js', '--out', out, ...args],
      { cwd: project.path, env: { ...process.env, NODE_OPTIONS: '' } },
    );
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
  it('says what holds, in a report with charts and in JSON', async () => {
    const { code, output, report } = await validate('green', '--only', 'browser-multi-tab');
    expect(output).toMatch(/✓ Browser with many tabs: (\d+) of \1/);
    expect(code).toBe(0);
    expect(report).toContain('**Everything holds');
    expect(report).toMatch(/\| managers +\| 5 +\| 5 +\| ✓/);
    const [, chart] = /!\[.*\]\((.*\.svg)\)/.exec(report)!;
    expect(readFileSync(join(project.path, 'green', chart!), 'utf8')).toContain(
      '<path class="series',
    );
    const json = readFileSync(join(project.path, 'green', 'validation-report.json'), 'utf8');
    const { runs } = JSON.parse(json) as { runs: { groups: { checks: { holds: boolean }[] }[] }[] };
    expect(runs[0]!.groups[0]!.checks[0]!.holds).toBe(true);
  }, 60_000);

  it('ends with 1 where a limit is not kept', async () => {
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
  }, 60_000);

  it('ends with 1 where the app keeps what should be gone', async () => {
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
  }, 60_000);

  it('ends with 1 where there is no such check', async () => {
    const { code, output } = await validate('unknown', '--only', 'nothing-like-it');
    expect(code).toBe(1);
    expect(output).toContain('There is no check "nothing-like-it". There are: browser-multi-tab,');
  });
});
