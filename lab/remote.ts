import { type ChildProcess, fork } from 'node:child_process';

/** The methods of a child process that its parent can call. */
export type Methods<T> = { readonly [Name in keyof T]: (...args: never[]) => unknown };

interface Request {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

interface Response {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** How a child process is started. */
export interface Start {
  /** Arguments of Node.js. */
  readonly execArgv?: readonly string[];
  /** The number of the processor core that the child runs on, where `taskset` exists. Default: any. */
  readonly core?: number | undefined;
  /** The file of the Node.js that runs it. Default: the one of this process. */
  readonly node?: string | undefined;
}

/** A child process and the calls that have not settled yet. */
export class Remote<T extends Methods<T>> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  /** @param child the module that it runs, or a process that has been started */
  constructor(child: URL | ChildProcess, start?: Start) {
    this.#child = child instanceof URL ? started(child, start) : child;
    this.#child.on('message', (message) => this.#answered(message as Response));
    this.#child.on('exit', (code, signal) => {
      const error = new Error(`A child process ended with ${code ?? signal}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  call<Name extends keyof T & string>(
    method: Name,
    ...args: Parameters<T[Name]>
  ): Promise<Awaited<ReturnType<T[Name]>>> {
    this.#lastId += 1;
    const request: Request = { id: this.#lastId, method, args };
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, { resolve: resolve as Waiting['resolve'], reject });
      this.#child.send(request);
    });
  }

  /** Ends the process, and resolves when it has ended. By default it is killed, since few have a state to save. */
  end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        resolve();
        return;
      }
      this.#child.once('exit', () => resolve());
      this.#child.kill(signal);
    });
  }

  #answered({ id, result, error }: Response): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error));
  }
}

function started(
  module: URL,
  { execArgv = [], core, node = process.execPath }: Start = {},
): ChildProcess {
  const stdio: ['ignore', 'ignore', 2, 'ipc'] = ['ignore', 'ignore', 2, 'ipc'];
  if (core === undefined || process.platform !== 'linux') {
    return fork(module, { execPath: node, execArgv: [...execArgv], stdio });
  }
  const onCore = ['-c', `${core}`, node, ...execArgv];
  return fork(module, { execPath: 'taskset', execArgv: onCore, stdio });
}

/** The child's side: runs the methods that the parent calls, and exits when the parent disconnects. */
export function answer<T extends Methods<T>>(methods: T): void {
  process.on('message', (message) => {
    const { id, method, args } = message as Request;
    const run = methods[method as keyof T];
    Promise.resolve()
      .then(() => run(...(args as never[])))
      .then(
        (result) => process.send?.({ id, result } satisfies Response),
        (error: unknown) =>
          process.send?.({
            id,
            error: error instanceof Error ? (error.stack ?? error.message) : String(error),
          } satisfies Response),
      );
  });
  process.on('disconnect', () => process.exit());
  // A worker of `node:cluster` loses what is sent to it before it listens. This answers no call, so the parent ignores
  // it, and the parent may be gone already.
  process.send?.({ id: 0 } satisfies Response, () => undefined);
}
