import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, totalmem } from 'node:os';

const PACKAGES = ['@nestjs/core', '@nestjs/websockets', 'ws', 'socket.io'];

/** Returns the versions and the hardware that the numbers depend on. */
export function environment(): Readonly<Record<string, string>> {
  const versions = PACKAGES.map((name) => [name, versionOf(name)] as const);
  return {
    Node: process.version,
    ...Object.fromEntries(versions),
    Processor: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores`,
    Memory: `${Math.round(totalmem() / 1e9)} GB`,
  };
}

// Not every package exports its package.json, so this reads it from the folders of the package resolution.
function versionOf(name: string): string {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const text = readFileSync(`${folder}/${name}/package.json`, 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // Not in this folder.
    }
  }
  return 'unknown';
}
