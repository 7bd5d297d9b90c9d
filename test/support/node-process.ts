import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const REGISTER = fileURLToPath(new URL('register-typescript.js', import.meta.url));

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** The exit of a process. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The whole output of the process to its standard error. */
  readonly stderr: string;
}

/** The methods of a process that calls {@link serve}. Their arguments and results are JSON values. */
export type ProcessMethods = Record<string, (...args: never[]) => unknown>;

/** A child process that runs a TypeScript file and whose methods a test can call. The caller ends it. */
export class NodeProcess<Methods extends ProcessMethods> {
  /** The messages that the process has sent on its own. */
  readonly said: unknown[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ending>;
  readonly #open = new Map<number, (reply: Reply) => void>();
  #id = 0;

  /**
   * @param config the first argument of the file, passed as JSON
   * @param nodeOptions further options of `node`, before the options that every process of a test has
   */
  constructor(file: URL, config: unknown, nodeOptions: readonly string[] = []) {
    const imports = ['--import', REGISTER, '--import', 'reflect-metadata'];
    const execArgv = [...nodeOptions, ...imports, '--expose-gc'];
    const stdio = ['ignore', 'inherit', 'pipe', 'ipc'] as const;
    this.#child = fork(fileURLToPath(file), [JSON.stringify(config)], {
      execArgv,
      stdio: [...stdio],
    });
    this.#ended = this.#ending();
    this.#child.on('message', (reply: Reply) => {
      if (reply.id === undefined) this.said.push(reply);
      this.#open.get(reply.id)?.(reply);
      this.#open.delete(reply.id);
    });
    this.#child.on('exit', () => {
      const error = 'the process has ended';
      for (const [id, settle] of this.#open) settle({ id, error });
      this.#open.clear();
    });
    const killWithUs = (): void => void this.#child.kill('SIGKILL');
    process.once('exit', killWithUs);
    this.#child.once('exit', () => process.off('exit', killWithUs));
  }

  call<Name extends keyof Methods & string>(
    method: Name,
    ...args: Parameters<Methods[Name]>
  ): Promise<Awaited<ReturnType<Methods[Name]>>> {
    this.#id += 1;
    const id = this.#id;
    return new Promise((resolve, reject) => {
      this.#open.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result as Awaited<ReturnType<Methods[Name]>>);
        else reject(new Error(error));
      });
      this.#child.send({ id, method, args });
    });
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Kills the process, even if it is frozen. */
  async kill(): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Resolves when the process has ended. */
  ended(): Promise<Ending> {
    return this.#ended;
  }

  async #ending(): Promise<Ending> {
    let stderr = '';
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      process.stderr.write(chunk);
    });
    const [code, signal] = (await once(this.#child, 'close')) as [number, NodeJS.Signals];
    return { code, signal, stderr };
  }
}

/** The child's side: runs the methods that the test calls. */
export function serve(methods: ProcessMethods): void {
  process.on('message', ({ id, method, args }: { id: number; method: string; args: never[] }) => {
    void (async () => {
      try {
        process.send!({ id, result: await methods[method]!(...args) });
      } catch (error) {
        process.send!({ id, error: String((error as Error).stack ?? error) });
      }
    })();
  });
}
