// Boots an app once, in a process of its own. Imports nothing of the app before it is asked to.
import { answer } from '../../lab/remote.js';

/** Processor time in microseconds. */
export interface BootCpu {
  /** From the start of the process until the app listens: Node.js, loading the modules, and Nest. */
  readonly sinceStart: number;
  /** The same without Node.js and without loading: the modules are in memory already. */
  readonly ofApp: number;
}

const methods = {
  async boot(module: string): Promise<BootCpu> {
    const app = (await import(`../candidates/${module}.js`)) as { boot(): Promise<void> };
    const loaded = cpu();
    await app.boot();
    const sinceStart = cpu();
    return { sinceStart, ofApp: sinceStart - loaded };
  },
};

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

export type BootMethods = typeof methods;

answer(methods);
