import {
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  Logger,
  RequestTimeoutException,
  Scope,
  type Type,
} from '@nestjs/common';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';

import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { errorText } from '../errors/error-text.js';
import { askApp, yesOrNo } from '../handshake/app-answer.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import { requestOf } from './page-request.js';
import {
  PAGE_OPTIONS,
  type PageGuard,
  type PageGuardFunction,
  type PageOptions,
} from './page.options.js';

/** Asks a guard about a request, within the deadline. Rejects with the error of the guard. */
export type Decide = (context: ExecutionContext) => Promise<boolean>;

/** Milliseconds in which the same line about a broken guard is logged once only: pages poll. */
const SAME_LINE_MS = 60_000;

/** Calls the guards and functions that an app has given to a page. */
@Injectable()
export class PageGuards {
  readonly #logger = new Logger('WebSocketIsolation');
  #latest: { readonly line: string; readonly at: number } | undefined;

  constructor(
    @Inject(PAGE_OPTIONS) private readonly options: PageOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(ISOLATION_OPTIONS) private readonly isolation: ResolvedOptions,
    private readonly moduleRef: ModuleRef,
  ) {}

  /** @param option its name, for errors */
  decisionOf(option: string, guard: PageGuard): Decide {
    const read = yesOrNo(`The option ${option} of ${this.options.page}`);
    const { prototype } = guard as { prototype?: Partial<CanActivate> };
    if (typeof prototype?.canActivate === 'function') {
      const instanceFor = instancesOf(guard as Type<CanActivate>, this.moduleRef);
      return (context) =>
        this.#inTime(async () => {
          const instance = await instanceFor(context);
          return askApp(() => instance.canActivate(context), read);
        });
    }
    const decide = guard as PageGuardFunction;
    return (context) => this.ask(() => decide(requestOf(context), context), read);
  }

  /**
   * Resolves to what a function of the app returns.
   *
   * @param read validates it
   * @throws {RequestTimeoutException} if it has not returned within `handshake.timeoutMs`
   */
  ask<T>(call: () => unknown, read: (answer: unknown) => T): Promise<T> {
    return this.#inTime(() => askApp(call, read));
  }

  /** Logs that a function of the app has failed. */
  complain(error: unknown): void {
    const line = `A function that ${this.options.page} calls has failed; a guard that fails refuses: ${errorText(error)}`;
    const now = this.clock.now();
    if (this.#latest?.line === line && now - this.#latest.at < SAME_LINE_MS) return;
    this.#latest = { line, at: now };
    this.#logger.warn(line);
  }

  async #inTime<T>(work: () => Promise<T> | T): Promise<T> {
    const { timeoutMs } = this.isolation.handshake;
    const outcome = await withDeadline(this.clock, timeoutMs, Promise.resolve(work()));
    if (outcome === TIMED_OUT) throw new RequestTimeoutException();
    return outcome;
  }
}

// The app's own instance if the class is a provider; otherwise one that is created here, as Nest does for
// `@UseGuards()`.
function instancesOf(
  type: Type<CanActivate>,
  moduleRef: ModuleRef,
): (context: ExecutionContext) => CanActivate | Promise<CanActivate> {
  const scope = scopeOf(type, moduleRef);
  let single: Promise<CanActivate> | undefined;
  const made = async (): Promise<CanActivate> => {
    try {
      return await moduleRef.create(type);
    } catch (error) {
      // The next request tries again.
      single = undefined;
      throw error;
    }
  };
  return (context) => {
    if (scope === undefined) return (single ??= made());
    if (scope === Scope.DEFAULT) return moduleRef.get(type, { strict: false });
    const contextId = ContextIdFactory.create();
    moduleRef.registerRequestByContextId(requestOf(context), contextId);
    return moduleRef.resolve(type, contextId, { strict: false });
  };
}

function scopeOf(type: Type<unknown>, moduleRef: ModuleRef): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined;
  }
}
