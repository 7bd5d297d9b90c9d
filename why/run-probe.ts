import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { Side } from './probe.js';

const PROCESS = fileURLToPath(new URL('probe.process.ts', import.meta.url));
const LOADER = new URL('../test/support/register-typescript.js', import.meta.url).href;
/** The deadline of a probe. No probe takes that long, not even on a machine ten times slower. */
const LONGEST_MS = 600_000;

/** Runs a probe in a separate process, because the probe may crash it. */
export function runProbe(name: string, side: Side): Promise<string> {
  const child = fork(PROCESS, [name, side], {
    execArgv: ['--import', LOADER, '--import', 'reflect-metadata'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    timeout: LONGEST_MS,
    killSignal: 'SIGKILL',
  });
  let stderr = '';
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => {
    let finding: string | undefined;
    child.on('message', (message) => (finding = String(message)));
    child.on('close', () => resolve(finding ?? `**the process ends** (\`${causeIn(stderr)}\`)`));
  });
}

// Returns the line of stderr that names the uncaught error.
function causeIn(stderr: string): string {
  const line = stderr.split('\n').find((text) => /^\s*(\w*Error|\[?Unhandled)\b.*:/.test(text));
  return (line ?? stderr.trim().split('\n').at(-1) ?? '').trim();
}
